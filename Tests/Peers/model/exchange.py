"""One request and its answer, done right or wrong as the behaviour says."""

import asyncio
import dataclasses
import json
from email.utils import formatdate

from .behaviour import Behaviour, text

#: What Go's server reads of a body that nobody wanted, to keep the connection.
UNWANTED_LIMIT = 256 * 1024
#: Of what is kept in memory. A longer body is counted and hashed, and cannot be JSON.
JSON_LIMIT = 128 * 1024 * 1024

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


class Died(Exception):
    """The behaviour says that the server is no more."""


def compact(value):
    """As Go writes it: nothing between the tokens, no HTML, all of Unicode."""
    written = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for letter, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        written = written.replace(letter, escape)
    return written.encode()


class Exchange:
    def __init__(self, connection, request, entry, behaviour, released, shared=()):
        self.connection = connection
        self.request = request
        self.entry = entry
        self.behaviour = behaviour
        self.keeps_alive = request.keeps_alive
        self._released = released
        self._shared = list(shared)
        self._blocks = connection.body(request)

    # The request's body

    async def read(self):
        """The JSON object in the body; `None` if there is no body, or one that is none."""
        body = bytearray()
        async for block in self._blocks:
            if self.behaviour.reading:
                await asyncio.sleep(self.behaviour.reading)
            self.entry.read(block)
            if len(body) <= JSON_LIMIT:
                body += block
        self.entry.read_all()
        try:
            value = json.loads(body) if body else None
        except ValueError:
            return None
        if not isinstance(value, dict):
            return None
        own = value.get("behaviour", {})
        self.behaviour = dataclasses.replace(self.behaviour, **{k: v for k, v in own.items() if k in Behaviour.known()})
        return value

    @property
    def _is_unwelcome(self):
        """Whether a body that is not read ends the connection, as with Go: one that is long, or was never asked for."""
        if self.entry.body_complete:
            return False
        length = self.request.header("content-length", "0")
        return self.connection.owes_continue or not length.isdigit() or int(length) > UNWANTED_LIMIT

    async def finish_body(self, patience):
        """Reads what an answer that came early left unread, or gives the connection up within `patience` seconds."""
        if not self.keeps_alive:
            return await self.connection.linger(patience)
        left = UNWANTED_LIMIT
        async for block in self._blocks:
            self.entry.read(block)
            left -= len(block)
            if left < 0:
                self.keeps_alive = False
                return await self.connection.linger(patience)
        self.entry.read_all()

    # The answer

    def wants(self, chunks):
        """The request asks for a number of chunks; a positive one counts."""
        if isinstance(chunks, int) and chunks > 0:
            self.behaviour = dataclasses.replace(self.behaviour, chunks=chunks)

    async def all_words(self):
        """What an answer in one piece says, after the time that it takes to find."""
        await asyncio.sleep(self.behaviour.pace * self.behaviour.chunks)
        return text(self.behaviour.chunks, self.behaviour.size)

    async def at(self, place):
        """What goes wrong here."""
        if self.behaviour.hang == place:
            await self._released.wait()
        if self.behaviour.die == place:
            raise Died

    async def head(self, status, kind, *more):
        self.keeps_alive = self.keeps_alive and not self._is_unwelcome
        headers = [("Date", formatdate(usegmt=True)), *self._shared, *more]
        if kind:
            headers.insert(0, ("Content-Type", kind))
        if not self.keeps_alive:
            headers.append(("Connection", "close"))
        await self.connection.head(status, headers)
        self.entry.status = status

    async def answer(self, data, status=200, kind=JSON, *more):
        """A whole answer with its length."""
        if not isinstance(data, bytes):
            data = compact(data)
        await self.at("head")
        await asyncio.sleep(self.behaviour.load)
        bare = status == 204
        await self.head(status, None if bare else kind, *more, *([] if bare else [("Content-Length", len(data))]))
        if self.request.method == "HEAD" or bare:
            return
        for place in (self.behaviour.hang, self.behaviour.die):
            if isinstance(place, int):
                half, data = data[:len(data) // 2], data[len(data) // 2:]
                await self.connection.bytes(half)
                await self.at(place)
        await self.connection.bytes(data)

    async def stream(self, speech):
        """An answer in chunks: as many as the behaviour says, and what `speech` ends with."""
        await self.at("head")
        await asyncio.sleep(self.behaviour.load)
        is_chunked = self.request.version == "HTTP/1.1"
        self.keeps_alive = self.keeps_alive and is_chunked
        await self.head(200, speech.kind, *([("Transfer-Encoding", "chunked")] if is_chunked else []))
        write = self.connection.chunk if is_chunked else self.connection.bytes
        for number in range(self.behaviour.chunks):
            if number:
                await asyncio.sleep(self.behaviour.pace)
            await self.at(number)
            if self.behaviour.fail == number:
                await write(speech.failure("the stand-in was told to fail"))
                break
            await write(speech.chunk(number))
            self.entry.wrote_chunk()
        else:
            await self.at(self.behaviour.chunks)
            for data in speech.ending():
                await write(data)
        if is_chunked:
            await self.connection.last_chunk()
