"""HTTP/1.1 for one connection, as a careful server speaks it (RFC 9112): keep-alive, pipelining, chunks, 100-continue.

The bytes that a client sends while it waits for an answer are kept for its next request; its end is noticed at once.
"""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field
from http import HTTPStatus

HEAD_LIMIT = 64 * 1024
#: Read ahead of a request that is not its turn yet; a client that sends more waits.
AHEAD_LIMIT = 1024 * 1024
BLOCK = 64 * 1024


class Malformed(Exception):
    """The status and the sentence to refuse a request with; its connection ends."""

    def __init__(self, status, why):
        super().__init__(why)
        self.status = status


class Gone(Exception):
    """The client has left, or has broken off in the middle of its request."""


@dataclass
class Request:
    method: str
    target: str
    version: str
    #: As they came, in order.
    headers: list = field(default_factory=list)

    @property
    def path(self):
        return self.target.partition("?")[0]

    def header(self, name, default=None):
        return next((value for each, value in self.headers if each.lower() == name), default)

    @property
    def keeps_alive(self):
        words = {word.strip().lower() for word in self.header("connection", "").split(",")}
        return "close" not in words if self.version == "HTTP/1.1" else "keep-alive" in words


class Connection:
    def __init__(self, reader, writer, number):
        self.number = number
        self._reader = reader
        self._writer = writer
        self._unread = bytearray()
        self._has_ended = False
        self.owes_continue = False
        # What counts as written has been given to the kernel, not to a buffer of ours.
        writer.transport.set_write_buffer_limits(high=0)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # Reading

    async def _more(self):
        """Whether more bytes came before the client's end."""
        try:
            block = b"" if self._has_ended else await self._reader.read(BLOCK)
        except ConnectionError:
            raise Gone from None
        self._unread += block
        self._has_ended = not block
        return not self._has_ended

    async def end_of_input(self):
        """Returns when the client has shut down its side, raises `Gone` when it has reset the connection."""
        while not self._has_ended:
            if len(self._unread) > AHEAD_LIMIT:
                await asyncio.Event().wait()
            await self._more()

    async def _line(self, budget):
        while (end := self._unread.find(b"\n")) < 0:
            if len(self._unread) > budget:
                raise Malformed(431, "a line too long")
            if not await self._more():
                raise Gone
        line = bytes(self._unread[:end]).rstrip(b"\r")
        del self._unread[:end + 1]
        return line.decode("latin1")

    async def request(self):
        """The head of the next request, or `None` if the client has ended between two."""
        while not self._unread:
            if not await self._more():
                return None
        try:
            method, target, version = (await self._line(HEAD_LIMIT)).split(" ")
        except ValueError:
            raise Malformed(400, "no request line") from None
        if version not in ("HTTP/1.0", "HTTP/1.1"):
            raise Malformed(505, "not HTTP/1")
        request = Request(method, target, version)
        request.headers = await self._fields()
        hosts = [name for name, _ in request.headers if name.lower() == "host"]
        if len(hosts) > 1 or (not hosts and version == "HTTP/1.1"):
            raise Malformed(400, "one Host is wanted")
        self.owes_continue = request.header("expect", "").lower() == "100-continue"
        return request

    async def _fields(self):
        fields, left = [], HEAD_LIMIT
        while line := await self._line(left):
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise Malformed(400, "a header that is none")
            fields.append((name, value.strip()))
            left -= len(line)
            if left < 0:
                raise Malformed(431, "too many headers")
        return fields

    async def body(self, request):
        """The request's body, block by block."""
        coding, length = request.header("transfer-encoding"), request.header("content-length")
        if coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise Malformed(400, "framing that is ambiguous")
            async for block in self._chunks():
                yield block
        elif length is not None:
            if not length.isdigit():
                raise Malformed(400, "a length that is none")
            async for block in self._bytes(int(length)):
                yield block

    async def _chunks(self):
        await self._go_on()
        while True:
            try:
                size = int((await self._line(1024)).partition(";")[0], 16)
            except ValueError:
                raise Malformed(400, "a chunk without a size") from None
            if size == 0:
                await self._fields()
                return
            async for block in self._bytes(size):
                yield block
            if await self._line(1024) != "":
                raise Malformed(400, "a chunk longer than it said")

    async def _bytes(self, left):
        await self._go_on()
        while left:
            if not self._unread and not await self._more():
                raise Gone
            block = bytes(self._unread[:min(left, BLOCK)])
            del self._unread[:len(block)]
            left -= len(block)
            yield block

    async def _go_on(self):
        """Go's server asks for the body when it is first read, and not before."""
        if self.owes_continue:
            self.owes_continue = False
            await self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # Writing

    async def head(self, status, headers):
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers)]
        await self._write("\r\n".join([*lines, "", ""]).encode("latin1"))

    async def bytes(self, data):
        await self._write(data)

    async def chunk(self, data):
        await self._write(b"%x\r\n%b\r\n" % (len(data), data))

    async def last_chunk(self):
        await self._write(b"0\r\n\r\n")

    async def _write(self, data):
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            raise Gone from None

    def reset(self):
        """Ends with RST: what a process that is killed leaves behind when it had unread bytes."""
        plain = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def linger(self, seconds):
        """Reads on a while after the last word, since closing on unread bytes would reset what was written."""
        with contextlib.suppress(OSError, asyncio.TimeoutError, Gone):
            self._writer.write_eof()
            async with asyncio.timeout(seconds):
                while await self._more():
                    self._unread.clear()

    async def close(self):
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
