"""A cable to a real part that can be pulled: for tests of what a service does when the part is gone, or comes back."""

import asyncio
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_CHUNK = 65_536


class Cable:
    """TCP to a part: use `address` in the part's stead.

    `pull` cuts what is connected and refuses the rest; `stall` only lets nothing through, as a network does that drops
    packets. `plug` ends both.
    """

    def __init__(self, address: str, *, port: int = 0) -> None:
        """Lay a cable to a part; `address` is its URL or DSN. The near end has a free port, or the one given."""
        self._far = urlsplit(address)
        self._port = port
        self._server: asyncio.Server | None = None
        self._connected: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()

    @property
    def address(self) -> str:
        """The part's address by way of the cable."""
        user, at, _ = self._far.netloc.rpartition("@")
        return self._far._replace(netloc=f"{user}{at}127.0.0.1:{self._port}").geturl()

    async def plug(self) -> None:
        """Connect, or connect again at the same address."""
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    def stall(self) -> None:
        """Keep every connection, and let nothing through until `plug`."""
        self._flowing.clear()

    async def pull(self) -> None:
        """Cut every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._connected):
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        """Plug in."""
        await self.plug()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Pull, for good."""
        await self.pull()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = {writer}
        self._connected.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(self._far.hostname, self._far.port)
            ends.add(far_writer)
            if writer.transport.is_closing():
                return  # pulled meanwhile
            self._connected.add(far_writer)
            await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))
        except OSError:
            return
        finally:
            self._connected -= ends
            for end in ends:
                end.transport.abort()

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(_CHUNK):
                await self._flowing.wait()
                target.write(data)
                await target.drain()
            if target.can_write_eof():
                target.write_eof()
        except (ConnectionError, OSError):
            target.transport.abort()
