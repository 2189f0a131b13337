"""What stands behind the gateway, and fails at times: an HTTP server, an origin of HLS streams, a WebSocket server.

Settings: `port` (HTTP), `socket_port` (WebSocket), `failures`: the share of answers on `/shaky` that go wrong,
`idle`: whether it runs only when nobody else wants the processor, as it would on another machine. Says
`{"ready": true}` when both listen, and ends with its standard input.

| request | answer |
|---|---|
| `GET /bytes/N` | N bytes of `content()`; after `/shaky` now and then none, half of them, or a 503 |
| `POST /echo` | the body |
| `GET /live/index.m3u8`, `/live/N.ts` | a playlist of eight segments, and they |
"""

import asyncio
import contextlib
import json
import os
import random
import resource
import socket
import sys

import websockets

SEGMENTS = 8
SEGMENT = 96 << 10
_pattern = random.Random(1).randbytes(251 * 257)
#: What may be asked for at most.
LARGEST = 8 << 20
_content = memoryview(_pattern * (LARGEST // len(_pattern) + 1))


def content(size):
    """What `GET /bytes/size` answers, byte for byte."""
    return _content[:size]


def segment(number):
    return content(SEGMENT + number)


def playlist():
    lines = "".join(f"#EXTINF:2,\n{number}.ts\n" for number in range(SEGMENTS))
    return f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n{lines}#EXT-X-ENDLIST\n".encode()


class Upstream:
    def __init__(self, settings):
        self.failures = settings.get("failures", 0)
        self.random = random.Random(settings.get("seed", 7))

    async def serve(self, reader, writer):
        writer.transport.set_write_buffer_limits(32 << 10)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self.exchange(reader, writer):
                pass
        writer.close()

    async def exchange(self, reader, writer):
        """One request; whether another may follow."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, path, _ = head.split(" ", 2)
        body = await self.body(reader, head.lower())
        luck = self.random.random() if path.startswith("/shaky") else 1
        is_failing = luck < self.failures
        path = path.removeprefix("/shaky").partition("?")[0]
        if is_failing and (choice := self.random.randrange(3)) == 0:
            return False
        if is_failing and choice == 1:
            return await self.answer(writer, b"no", 503)
        kind = "application/octet-stream"
        if path.startswith("/bytes/"):
            answer = content(int(path.removeprefix("/bytes/")))
        elif path == "/echo" and method == "POST":
            answer = body
        elif path == "/live/index.m3u8":
            answer, kind = playlist(), "application/vnd.apple.mpegurl"
        elif path.startswith("/live/"):
            answer, kind = segment(int(path.removeprefix("/live/").removesuffix(".ts"))), "video/mp2t"
        else:
            return await self.answer(writer, b"nothing here", 404)
        return await self.answer(writer, answer, 200, kind, cut=is_failing)

    @staticmethod
    async def body(reader, head):
        if "transfer-encoding: chunked" in head:
            body = bytearray()
            while size := int(await reader.readline(), 16):
                body += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
            return bytes(body)
        _, _, length = head.partition("\r\ncontent-length:")
        return await reader.readexactly(int(length.split("\r\n")[0])) if length else b""

    @staticmethod
    async def answer(writer, body, status=200, kind="text/plain", cut=False):
        writer.write(f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        end = len(body) // 2 if cut else len(body)
        for start in range(0, end, 32 << 10):
            writer.write(bytes(body[start : min(end, start + (32 << 10))]))
            await writer.drain()
        return not cut


async def repeat(peer, _path):
    with contextlib.suppress(websockets.ConnectionClosed):
        async for message in peer:
            await peer.send(message)


def listener(port):
    """Accepts connections that are as over Ethernet (see attack.py), and has little memory of the kernel's for each."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 10)
    listening.bind(("127.0.0.1", port))
    return listening


async def main(settings):
    upstream = Upstream(settings)
    server = await asyncio.start_server(upstream.serve, sock=listener(settings["port"]), backlog=4096)
    sockets = await websockets.serve(
        repeat, "127.0.0.1", settings["socket_port"], max_size=None, ping_interval=None, compression=None)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), lambda: os.read(0, 64) or ended.set())
    print(json.dumps({"ready": True}), flush=True)
    await ended.wait()
    server.close()
    sockets.close()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    settings = json.loads(sys.argv[1])
    if settings.get("idle"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    asyncio.run(main(settings))
