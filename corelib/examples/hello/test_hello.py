import aiohttp
from hello import build

from corelib.config import ServiceSettings
from corelib.testing.running import free_port, running, until


async def test_who_is_greeted_is_in_the_book() -> None:
    service = build(ServiceSettings(port=free_port()))
    async with running(service) as url, aiohttp.request("POST", f"{url}/hello/ann"):
        await until(lambda: service.store.get("guests", {"name": "ann"}))
