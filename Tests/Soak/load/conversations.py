"""What all clients that come and go have in common: connections, conversations one after the other, and judgement."""

import asyncio
import contextlib
import json
import os
import random
import ssl
import sys
from collections import Counter

import websockets
from upstream import LARGEST, content

#: No conversation may take longer: one that hangs is found, one that others keep waiting is not blamed.
PATIENCE = 60


class Wrong(Exception):
    """An answer that must not be."""


class Broken(Exception):
    """A connection that ended ahead of the answer, visibly; `body` is what had come of it."""

    def __init__(self, why, body=b""):
        super().__init__(why)
        self.body = body


class Talk:
    """One connection, HTTP/1.1."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        #: The last answer said that no other follows: it came before all of its request, say, of an agent that left.
        self.is_over = False

    async def send(self, method, path, body=None, chunked=False, headers=None):
        lines = "".join(f"{name}: {value}\r\n" for name, value in ({"Host": "localhost"} | (headers or {})).items())
        if chunked:
            lines += "Transfer-Encoding: chunked\r\n"
            pieces = [body[at : at + 5000] for at in range(0, len(body), 5000)]
            body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        elif body is not None:
            lines += f"Content-Length: {len(body)}\r\n"
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + (body or b""))
        await self.writer.drain()

    async def receive(self):
        """Status, fields by lower-case name, and the body, whole."""
        status, fields = await self.head()
        return status, fields, await self.body(fields)

    async def head(self):
        """Status and fields; the body is what comes next."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Broken(str(error)) from None
        first, *lines = head.rstrip().split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.is_over = fields.get("connection", "").lower() == "close"
        return int(first.split()[1]), fields

    async def body(self, fields):
        body = bytearray()
        try:
            if "content-length" in fields:
                body += await self.reader.readexactly(int(fields["content-length"]))
            elif fields.get("transfer-encoding") == "chunked":
                while size := int(await self.reader.readuntil(b"\r\n"), 16):
                    body += (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readexactly(2)
            else:
                raise Wrong(f"an answer without framing: {fields}")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Broken(str(error), bytes(body)) from None
        return bytes(body)

    async def get(self, path, headers=None):
        await self.send("GET", path, headers=headers)
        return await self.receive()


class Clients:
    """Clients of one gateway, in one process; a subclass says in CLIENTS what they do.

    `go` on standard input starts them; `stop` lets each finish its conversation. Every order is answered with what was
    done so far, and what went wrong.
    """

    #: Each kind of client, how many of them, and whether something else than the gateway may break its connection.
    CLIENTS = ()

    def __init__(self, settings):
        self.settings = settings
        self.port, self.token = settings["port"], settings["token"]
        self.random = random.Random(settings.get("seed", 1))
        self.tls = ssl.create_default_context(cafile=settings["authority"]) if settings.get("authority") else None
        self.done, self.wrong = Counter(), []
        self.is_ending = False
        self.tasks = []

    # Connections

    def options(self):
        return {"ssl": self.tls, "server_hostname": "localhost"} if self.tls else {}

    @contextlib.asynccontextmanager
    async def talk(self, limit=1 << 16):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=limit, **self.options())
        self.done["connections"] += 1
        try:
            yield Talk(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    @contextlib.asynccontextmanager
    async def socket(self, path, compression=None):
        scheme = "wss" if self.tls else "ws"
        uri = f"{scheme}://localhost:{self.port}{path}?token={self.token}"
        options = {"host": "127.0.0.1", "port": self.port, "ping_interval": None, "max_size": None} | self.options()
        peer = await websockets.connect(uri, compression=compression, close_timeout=PATIENCE, **options)
        self.done["connections"] += 1
        self.done["sockets"] += 1
        try:
            yield peer
        finally:
            # After a close in order, or an abort, nothing is left to do but to wait for the end.
            peer.transport.abort()
            await peer.wait_closed()

    async def close(self, peer):
        await peer.close()
        if peer.close_code != 1000:
            raise Broken(f"a socket closed with {peer.close_code} {peer.close_reason}")

    def some(self, most):
        """Bytes to send."""
        start = self.random.randrange(LARGEST // 2)
        return bytes(content(LARGEST)[start : start + self.random.randint(1, most)])

    # Judgement

    def expect(self, answer, body):
        status, _, got = answer
        if status != 200 or got != body:
            raise Wrong(f"status {status} and {len(got)} bytes in place of {len(body)}: {got[:120]!r}")
        self.done["answers"] += 1

    def accuse(self, work, error):
        self.done["wrong"] += 1
        if len(self.wrong) < 20:
            self.wrong.append(f"{work.__name__}: {type(error).__name__}: {error}"[:300])

    # All of them

    async def client(self, work, may_break):
        while not self.is_ending:
            try:
                await asyncio.wait_for(work(self), PATIENCE)
                self.done[work.__name__] += 1
            except (Broken, ConnectionError, websockets.ConnectionClosed, websockets.InvalidHandshake) as error:
                if may_break:
                    self.done["broken"] += 1
                else:
                    self.accuse(work, error)
            except Exception as error:  # whatever it is, it is a finding, and the others go on
                self.accuse(work, error)
            await asyncio.sleep(self.random.expovariate(1 / self.settings["pace"]))

    async def prepare(self):
        """Before the first order."""

    def report(self):
        return {"done": self.done, "wrong": self.wrong}

    async def run(self):
        await self.prepare()
        orders = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        while order := (await orders.readline()).strip():
            if order == b"go":
                self.is_ending = False
                self.tasks = [
                    asyncio.create_task(self.client(work, may_break))
                    for work, count, may_break in self.CLIENTS for _ in range(count)
                ]
            if order == b"stop":
                self.is_ending = True
                await asyncio.gather(*self.tasks)
            print(json.dumps(self.report()), flush=True)

    @classmethod
    def main(cls):
        os.nice(5)
        asyncio.run(cls(json.loads(sys.argv[1])).run())
