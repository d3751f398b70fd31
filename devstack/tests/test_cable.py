"""A cable between a client and a part: what a pulled and a stalled one do to the client."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from devstack.cable import Cable


@pytest.fixture
async def cable() -> AsyncIterator[Cable]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Cable(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}") as cable:
        yield cable


async def connect(cable: Cable) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = cable.address.removeprefix("tcp://").split(":")
    return await asyncio.open_connection(host, int(port))


async def test_a_stalled_cable_keeps_what_was_sent_until_it_is_plugged_in_again(cable: Cable) -> None:
    reader, writer = await connect(cable)
    cable.stall()
    writer.write(b"hello")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readexactly(5), 0.1)
    await cable.plug()
    assert await asyncio.wait_for(reader.readexactly(5), 5) == b"hello"
    writer.close()


async def test_a_pulled_cable_ends_connections_and_refuses_new_ones(cable: Cable) -> None:
    reader, _ = await connect(cable)
    await cable.pull()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 5)
    with pytest.raises(ConnectionError):
        await connect(cable)
    await cable.plug()
    reader, writer = await connect(cable)
    writer.write(b"hello")
    assert await asyncio.wait_for(reader.readexactly(5), 5) == b"hello"
    writer.close()
