"""An agent of the tunnel, written from docs/TUNNEL-PROTOCOL.md alone: asyncio, and Debian's `websockets`.

    python3 tunnel_agent.py --url ws://127.0.0.1:3001 --token-file FILE --name desk --local 11434 --forward 22

It serves every path of the local server, so it is for tests and for reading, not for a machine that one cares about. Lines on
standard output say what happens, one JSON object each.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import random
import struct
import sys
from pathlib import Path

import websockets

PREFIX = struct.Struct(">BIQ")
END = 1
#: Fields that tell of the consumer or the way here, and those that this end writes itself.
DROPPED = {"host", "origin", "referer", "forwarded", "x-real-ip", "content-length", "connection", "transfer-encoding"}
#: Close codes after which an agent does not come back.
FINAL = {1002, 4401, 4403, 4408, 4409, 4429}


def say(event, **members):
    print(json.dumps({"event": event, **members}), flush=True)


class Reset(Exception):
    """A stream is to be ended early."""

    def __init__(self, code, message=""):
        super().__init__(message)
        self.code = code


class Stream:
    """One stream: what was sent and not acknowledged, and what was received and not consumed."""

    def __init__(self, session, number, opening):
        self.session = session
        self.number = number
        self.opening = opening
        self.head = None
        # Sending.
        self.kept = bytearray()
        self.acknowledged = 0
        self.sent = 0
        self.written = 0
        self.is_ended = False
        self.is_end_sent = False
        self.is_end_acknowledged = False
        self.room = asyncio.Event()
        # Receiving.
        self.received = 0
        self.consumed = 0
        self.reported = 0
        self.has_ended = opening.get("end", False)
        self.chunks = []
        self.news = asyncio.Event()
        self.task = asyncio.create_task(self.run())

    # Sending

    async def write(self, data):
        while data:
            free = min(
                self.session.terms["streamWindow"] - (self.written - self.acknowledged),
                self.session.terms["sessionWindow"] - self.session.outstanding)
            if free <= 0:
                self.room.clear()
                await self.room.wait()
                continue
            part, data = data[:free], data[free:]
            self.kept += part
            self.written += len(part)
            self.session.outstanding += len(part)
            await self.session.pump(self)

    async def end(self):
        self.is_ended = True
        await self.session.pump(self)

    def acknowledge(self, consumed, ended=False):
        assert self.acknowledged <= consumed <= self.written, "more was acknowledged than was sent"
        count = consumed - self.acknowledged
        del self.kept[:count]
        self.acknowledged = consumed
        self.session.outstanding -= count
        self.is_end_acknowledged = self.is_end_acknowledged or ended
        for stream in self.session.streams.values():
            stream.room.set()

    async def answer(self, status, headers, length=None):
        self.head = {"type": "head", "stream": self.number, "status": status, "headers": headers}
        if length is not None:
            self.head["length"] = length
        await self.session.tell(self.head)

    # Receiving

    def receive(self, offset, payload, ends):
        if offset != self.received:
            raise Reset("offset", f"expected byte {self.received}")
        if self.received + len(payload) - self.consumed > self.session.terms["streamWindow"]:
            raise Reset("flow", "more than the credit")
        self.received += len(payload)
        self.has_ended = self.has_ended or ends
        if payload:
            self.chunks.append(payload)
        self.news.set()

    async def read(self):
        """The next bytes, which count as consumed when more are asked for; empty at the end."""
        while not self.chunks:
            if self.has_ended:
                return b""
            self.news.clear()
            await self.news.wait()
        return self.chunks.pop(0)

    async def consume(self, count):
        self.consumed += count
        done = self.has_ended and self.consumed == self.received
        if done or self.consumed - self.reported >= self.session.terms["streamWindow"] // 4:
            await self.report()

    async def report(self):
        self.reported = self.consumed
        message = {"type": "window", "stream": self.number, "consumed": self.consumed}
        if self.is_consumed:
            message["end"] = True
        await self.session.tell(message)

    @property
    def is_consumed(self):
        return self.has_ended and self.consumed == self.received

    @property
    def position(self):
        return {"stream": self.number, "head": self.head is not None, "received": self.received,
                "end": self.has_ended, "consumed": self.consumed}

    # What is done with it

    async def run(self):
        try:
            await (self.serve_tcp() if self.opening["kind"] == "tcp" else self.serve_http())
            while not (self.is_consumed and self.is_end_acknowledged):
                self.room.clear()
                await self.room.wait()
        except Reset as reset:
            await self.session.tell(
                {"type": "reset", "stream": self.number, "code": reset.code, "message": str(reset)})
        self.session.forget(self)

    async def serve_http(self):
        local = self.session.options.local
        if local is None:
            raise Reset("refused", "this agent serves no requests")
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", local)
        except OSError:
            raise Reset("unreachable", "the local server does not answer") from None
        with contextlib.closing(writer):
            upload = asyncio.create_task(self.send_request(writer, local))
            try:
                await self.relay_answer(reader)
            except (asyncio.IncompleteReadError, ConnectionError, ValueError):
                raise Reset("broken", "the local server broke off") from None
            finally:
                upload.cancel()
        await self.end()
        while data := await self.read():
            await self.consume(len(data))
        await self.report()

    async def send_request(self, writer, local):
        opening = self.opening
        lines = [f"{opening['method']} {opening['target']} HTTP/1.1", f"Host: 127.0.0.1:{local}", "Connection: close"]
        for name, value in opening["headers"]:
            if name.lower() not in DROPPED and not name.lower().startswith("x-forwarded"):
                lines.append(f"{name}: {value}")
        length = opening.get("length")
        has_body = not opening.get("end", False)
        if has_body:
            lines.append("Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}")
        elif opening["method"] == "POST":
            lines.append("Content-Length: 0")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        while has_body and (data := await self.read()):
            writer.write(data if length is not None else b"%x\r\n%s\r\n" % (len(data), data))
            await writer.drain()
            await self.consume(len(data))
        if has_body and length is None:
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def relay_answer(self, reader):
        status_line = (await reader.readuntil(b"\r\n")).split(b" ", 2)
        status = int(status_line[1])
        headers, framing = [], {}
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            name, value = (part.strip() for part in line.decode("latin-1").split(":", 1))
            if name.lower() in ("content-length", "transfer-encoding"):
                framing[name.lower()] = value
            elif name.lower() not in ("connection", "keep-alive", "trailer", "te", "upgrade"):
                headers.append([name, value])
        length = framing.get("content-length")
        await self.answer(status, headers, None if length is None else int(length))
        if self.opening["method"] == "HEAD" or status in http.client.responses and status in (204, 304):
            return
        if "transfer-encoding" in framing:
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                await self.write(await reader.readexactly(size))
                await reader.readexactly(2)
        elif length is not None:
            left = int(length)
            while left:
                data = await reader.read(min(left, 65536))
                if not data:
                    raise asyncio.IncompleteReadError(b"", left)
                left -= len(data)
                await self.write(data)
        else:
            while data := await reader.read(65536):
                await self.write(data)

    async def serve_tcp(self):
        port = self.opening["port"]
        if port not in self.session.options.forward:
            raise Reset("refused", "this port is not offered")
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            raise Reset("unreachable", "nothing answers at this port") from None

        async def there():
            while data := await self.read():
                writer.write(data)
                await writer.drain()
                await self.consume(len(data))
            writer.write_eof()
            await self.report()

        async def back():
            while data := await reader.read(65536):
                await self.write(data)
            await self.end()

        with contextlib.closing(writer):
            await self.answer(200, [])
            try:
                await asyncio.gather(there(), back())
            except ConnectionError:
                raise Reset("broken", "the connection to the port broke") from None


class Session:
    """What outlives a carrier."""

    def __init__(self, options, welcome):
        self.options = options
        self.identity = {"session": welcome["session"], "secret": welcome["secret"]}
        self.terms = welcome
        self.streams = {}
        self.newest = 0
        self.outstanding = 0
        self.carrier = None
        self.sending = asyncio.Lock()

    async def tell(self, message):
        """To the gateway, if there is a way; the positions of the next hello say what was missed."""
        if self.carrier:
            with contextlib.suppress(websockets.ConnectionClosed):
                await self.carrier.send(json.dumps(message))

    async def pump(self, stream):
        """Sends what `stream` has written and not sent. One at a time, so that offsets follow each other."""
        async with self.sending:
            while self.carrier and (stream.sent < stream.written or (stream.is_ended and not stream.is_end_sent)):
                start = stream.sent - stream.acknowledged
                payload = bytes(stream.kept[start:start + self.terms["dataFrame"]])
                ends = stream.is_ended and stream.sent + len(payload) == stream.written
                prefix = PREFIX.pack(END if ends else 0, stream.number, stream.sent)
                stream.sent += len(payload)
                stream.is_end_sent = ends
                try:
                    await self.carrier.send(prefix + payload)
                except websockets.ConnectionClosed:
                    return

    def forget(self, stream):
        if self.streams.pop(stream.number, None) is not None:
            self.outstanding -= stream.written - stream.acknowledged

    def give_up(self, stream):
        self.forget(stream)
        stream.task.cancel()

    async def resume(self, carrier, positions):
        theirs = {position["stream"]: position for position in positions}
        self.carrier = carrier
        for stream in list(self.streams.values()):
            position = theirs.get(stream.number)
            if position is None:
                # Over there; if everything had arrived only the last report was lost.
                self.give_up(stream)
                continue
            stream.acknowledge(position["consumed"])
            stream.sent = position["received"]
            stream.is_end_sent = position["end"]
            if stream.head and not position["head"]:
                await self.tell(stream.head)
            if stream.is_consumed:
                await stream.report()
            await self.pump(stream)

    async def received_text(self, message):
        kind = message["type"]
        if kind == "open":
            assert message["stream"] > self.newest, "a stream was opened twice"
            self.newest = message["stream"]
            if len(self.streams) >= self.terms["streams"]:
                await self.tell({"type": "reset", "stream": self.newest, "code": "overloaded", "message": ""})
            else:
                self.streams[self.newest] = Stream(self, self.newest, message)
        elif kind == "window":
            if stream := self.streams.get(message["stream"]):
                stream.acknowledge(message["consumed"], message.get("end", False))
        elif kind == "reset":
            if stream := self.streams.get(message["stream"]):
                say("reset", stream=stream.number, code=message["code"])
                self.give_up(stream)

    async def received_binary(self, message):
        flags, number, offset = PREFIX.unpack_from(message)
        assert flags & ~END == 0, "an unknown flag"
        if stream := self.streams.get(number):
            try:
                stream.receive(offset, message[PREFIX.size:], bool(flags & END))
            except Reset as reset:
                await self.tell({"type": "reset", "stream": number, "code": reset.code, "message": str(reset)})
                self.give_up(stream)


class Agent:
    def __init__(self, options):
        self.options = options
        self.session = None

    @property
    def token(self):
        return Path(self.options.token_file).read_text().strip()

    async def run(self):
        """The code to exit with."""
        bound = 0.5
        while True:
            try:
                code = await self.carry()
                bound = 0.5
            except websockets.InvalidStatusCode as refusal:
                say("refused", status=refusal.status_code)
                if refusal.status_code in (401, 403):
                    return 77
                code = None
            except websockets.ConnectionClosed as end:
                code = end.code
            except (OSError, EOFError, websockets.InvalidHandshake):
                code = None
            say("closed", code=code)
            if code in FINAL:
                return 69
            await asyncio.sleep(random.uniform(0, bound))
            bound = min(30, bound * 2)

    async def carry(self):
        """Opens a carrier and serves on it until it is gone; the code it was closed with."""
        token = self.token
        path = "/api/tunnel/agent" + ("/enrolled" if token.startswith("gwe_") else "")
        async with websockets.connect(
            self.options.url + path, subprotocols=["tunnel.agent.v1"], compression=None, max_size=2 << 20,
            extra_headers={"Authorization": f"Bearer {token}"}, ping_interval=10, ping_timeout=10,
        ) as carrier:
            await carrier.send(json.dumps(self.hello()))
            await self.greet(carrier, json.loads(await carrier.recv()))
            session = self.session
            try:
                async for message in carrier:
                    if isinstance(message, bytes):
                        await session.received_binary(message)
                        continue
                    message = json.loads(message)
                    if message["type"] == "auth_expiring":
                        await carrier.send(json.dumps({"type": "auth", "token": self.token}))
                    elif message["type"] == "drain":
                        # The simplest that is right: what runs here ends with the carrier, and the next one is opened then.
                        say("drain")
                    else:
                        await session.received_text(message)
            finally:
                session.carrier = None
            return carrier.close_code

    def hello(self):
        hello = {"type": "hello", "version": 1, "name": self.options.name, "software": "tunnel_agent.py",
                 "http": self.options.local is not None, "ports": self.options.forward}
        if self.session:
            streams = [stream.position for stream in self.session.streams.values()]
            hello["resume"] = self.session.identity | {"newest": self.session.newest, "streams": streams}
        return hello

    async def greet(self, carrier, message):
        say(message["type"], name=self.options.name)
        if message["type"] == "resumed":
            await self.session.resume(carrier, message["streams"])
            return
        assert message["type"] == "welcome", message
        if self.session:
            for stream in list(self.session.streams.values()):
                self.session.give_up(stream)
        self.session = Session(self.options, message)
        self.session.carrier = carrier


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--token-file", required=True)
    parser.add_argument("--name", default="python")
    parser.add_argument("--local", type=int, help="port of the local server")
    parser.add_argument("--forward", type=int, action="append", default=[])
    sys.exit(asyncio.run(Agent(parser.parse_args()).run()))


if __name__ == "__main__":
    main()
