"""Clients that come and go, all kinds at once, and check every byte they are answered.

Settings: `port` of the gateway, `origin` of the streams, `token`, `authority` (a file; with it everything goes over
TLS), `seed`, `pace`: the mean pause of a client between two conversations, in seconds. `go` starts them; `stop` lets
each finish its conversation. Every order is answered with what was done so far, and what went wrong.
"""

import asyncio
import base64
import contextlib
import socket

import websockets
from conversations import Broken, Clients, Wrong
from upstream import SEGMENTS, content, playlist, segment

#: What a failing upstream makes of an answer, besides a good one.
UPSTREAM_FAULTS = {502, 503, 504}


class Churn(Clients):
    # What the clients do, a conversation each

    async def keep_alive(self):
        async with self.talk() as talk:
            for _ in range(self.random.randint(1, 30)):
                if self.random.random() < 0.5:
                    self.expect(await talk.get("/echo"), b"ok")
                else:
                    body = self.some(40_000)
                    await talk.send("POST", "/echo", body, chunked=self.random.random() < 0.5)
                    self.expect(await talk.receive(), body)

    async def pipeline(self):
        async with self.talk() as talk:
            bodies = [self.some(2000) for _ in range(self.random.randint(2, 12))]
            for body in bodies:
                await talk.send("POST", "/echo", body)
            for body in bodies:
                self.expect(await talk.receive(), body)

    async def abort(self):
        """Leaves in the middle of its head, its body, or its answer, with or without a reset."""
        async with self.talk() as talk:
            body = self.some(200_000)
            request = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            request = self.random.choice((request, b"GET /up/bytes/3000000 HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            talk.writer.write(request[: self.random.randint(1, len(request))])
            if self.random.random() < 0.5:
                with contextlib.suppress(asyncio.TimeoutError, ConnectionError):
                    await asyncio.wait_for(talk.reader.read(5000), 0.05)
            if self.random.random() < 0.5:
                talk.writer.transport.abort()
            self.done["aborted"] += 1

    async def messages(self):
        await self.chat("/echo")

    async def forwarded_messages(self):
        """The upstream may be gone: then the handshake is answered 502 or 503, or the socket closes with 1014."""
        try:
            await self.chat("/socket")
        except websockets.InvalidStatusCode as refusal:
            self.upstream_fault(refusal.status_code)
        except websockets.ConnectionClosed as end:
            if end.rcvd is None or end.rcvd.code not in (1001, 1011, 1012, 1014):
                raise
            self.done["sockets cut by upstream"] += 1

    async def chat(self, path):
        async with self.socket(path, self.random.choice((None, "deflate"))) as peer:
            for _ in range(self.random.randint(1, 20)):
                message = self.some(self.random.choice((20, 2000, 60_000)))
                if self.random.random() < 0.5:
                    message = base64.b64encode(message).decode()
                await peer.send(message)
                if await peer.recv() != message:
                    raise Wrong("a message came back changed")
                self.done["messages"] += 1
            if self.random.random() < 0.3:
                # In the middle of a message, which the gateway must let go of.
                await peer.ensure_open()
                peer.transport.write(b"\x02\xfe\x40\x00\0\0\0\0" + bytes(9000))
                await asyncio.sleep(0.01)
                self.done["aborted"] += 1
                return
            await self.close(peer)

    async def forward(self):
        async with self.talk() as talk:
            for _ in range(self.random.randint(1, 10)):
                size = self.random.choice((10, 3000, 70_000, 300_000))
                if self.random.random() < 0.7:
                    path, body = f"/up{self.random.choice(('', '/shaky'))}/bytes/{size}", content(size)
                    await talk.send("GET", path)
                else:
                    body = self.some(size)
                    await talk.send("POST", "/up/echo", body, chunked=self.random.random() < 0.5)
                answer = await talk.receive()
                if answer[0] in UPSTREAM_FAULTS:
                    self.upstream_fault(answer[0])
                else:
                    self.expect(answer, body)
                if talk.is_over:
                    return

    async def watch(self):
        """Plays a stream: its playlist, rewritten, and every segment behind it."""
        async with self.talk() as talk:
            origin = self.settings["origin"]
            name = base64.urlsafe_b64encode(f"{origin}/live/index.m3u8".encode()).decode().rstrip("=")
            status, _, body = await talk.get(f"/proxy/manifest/{name}")
            if status in UPSTREAM_FAULTS:
                return self.upstream_fault(status)
            lines = [line for line in body.decode().splitlines() if line and not line.startswith("#")]
            if status != 200 or len(lines) != SEGMENTS or body.count(b"\n") != playlist().count(b"\n"):
                raise Wrong(f"a playlist of {len(lines)} segments, status {status}")
            self.done["answers"] += 1
            for number, line in enumerate(lines):
                path = line.split(f":{self.port}", 1)[-1]
                answer = await talk.get(path)
                if answer[0] in UPSTREAM_FAULTS:
                    return self.upstream_fault(answer[0])
                self.expect(answer, segment(number))

    async def read_slowly(self):
        """Takes its answer a piece at a time, to the end."""
        async with self.talk(limit=4096) as talk:
            talk.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
            size = 900_000
            await talk.send("GET", f"/up/bytes/{size}")
            try:
                head = await talk.reader.readuntil(b"\r\n\r\n")
                if not head.startswith(b"HTTP/1.1 200 "):
                    return self.upstream_fault(int(head.split()[1]))
                body = bytearray()
                while len(body) < size and (piece := await talk.reader.read(30_000)):
                    body += piece
                    await asyncio.sleep(0.02)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise Broken(str(error)) from None
            if len(body) < size:
                raise Broken("a slow answer was cut")
            if body != content(size):
                raise Wrong("a slow answer came changed")
            self.done["answers"] += 1

    # Judgement

    def upstream_fault(self, status):
        if status not in UPSTREAM_FAULTS:
            raise Wrong(f"status {status}")
        self.done["answers"] += 1
        self.done["upstream faults"] += 1

    CLIENTS = (
        (keep_alive, 3, False), (pipeline, 2, False), (abort, 2, True), (messages, 4, False),
        (forwarded_messages, 2, True), (forward, 4, True), (watch, 2, True), (read_slowly, 3, True),
    )


if __name__ == "__main__":
    Churn.main()
