"""Bytes through whatever carries TCP, and their far end. Standard library only.

    pipe.py serve PORT                       the far end
    pipe.py down|up BYTES tcp PORT           a consumer, by a connection
    pipe.py down|up BYTES websocket PORT     by binary messages (RFC 6455)
    pipe.py down|up BYTES command WORD...    by the input and output of a program, as an OpenSSH ProxyCommand is used

A consumer warms its connection up, says `ready`, waits for a line, moves the bytes, says `result` with the seconds it
took, and keeps the connection until its input ends: the same as the load generator does. The bytes are compared by CRC.
"""

import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib

BLOCK = 1 << 20
WARM_UP = 4 << 20
PATTERN = random.Random(0x5EED).randbytes(BLOCK + 65_537)
MAGIC = struct.Struct("!4sQ")
SUM = struct.Struct("!I")


def blocks(count):
    """The bytes to move: no block is like the one before it."""
    view, start = memoryview(PATTERN), 0
    while count:
        size = min(count, BLOCK)
        yield view[start:start + size]
        start = (start + 251) % 65_537
        count -= size


def checksum(count):
    value = 0
    for block in blocks(count):
        value = zlib.crc32(block, value)
    return value


def serve(port):
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(Stream(connection),), daemon=True).start()


def answer(stream):
    try:
        while head := stream.read(MAGIC.size):
            direction, count = MAGIC.unpack(head)
            if direction == b"down":
                for block in blocks(count):
                    stream.write(block)
            else:
                stream.write(SUM.pack(stream.drain(count)))
    except OSError:
        pass  # the consumer left


class Stream:
    """A TCP connection."""

    def __init__(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = connection
        self.buffer = memoryview(bytearray(BLOCK))

    def some(self, limit):
        """At most `limit` of the bytes that have come; empty at the end."""
        return self.buffer[:self.connection.recv_into(self.buffer[:min(limit, BLOCK)])]

    def write(self, data):
        self.connection.sendall(data)

    def read(self, count):
        data = b""
        while len(data) < count:
            block = self.some(count - len(data))
            if not block:
                return b""
            data += block
        return data

    def drain(self, count):
        """The CRC of the next `count` bytes."""
        value = 0
        while count:
            block = self.some(count)
            if not block:
                raise OSError("the stream ended early")
            value = zlib.crc32(block, value)
            count -= len(block)
        return value


class WebSocketStream(Stream):
    """Masks with zeros, which is a mask like any other and costs the sender nothing; the receiver does what it must."""

    def __init__(self, connection):
        super().__init__(connection)
        self.left = 0
        connection.sendall(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Protocol: binary\r\n\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1) or fail("the handshake was not answered")
        if b" 101 " not in head.partition(b"\r\n")[0]:
            fail(f"no upgrade: {head[:200]!r}")

    def some(self, limit):
        while not self.left:
            first, second = self.exactly(2)
            length = second & 0x7F
            if length > 125:
                length = int.from_bytes(self.exactly(2 if length == 126 else 8), "big")
            if first != 0x82:
                fail(f"a frame that is no whole binary message: {first:#x}")
            self.left = length
        block = super().some(min(limit, self.left))
        self.left -= len(block)
        return block

    def exactly(self, count):
        data = b""
        while len(data) < count:
            data += self.connection.recv(count - len(data)) or fail("the stream ended early")
        return data

    def write(self, data):
        for start in range(0, len(data), 65_536):
            part = data[start:start + 65_536]
            self.connection.sendall(frame_head(len(part)))
            self.connection.sendall(part)


def frame_head(length):
    if length < 126:
        return struct.pack("!BB4x", 0x82, 0x80 | length)
    if length < 65_536:
        return struct.pack("!BBH4x", 0x82, 0xFE, length)
    return struct.pack("!BBQ4x", 0x82, 0xFF, length)


class CommandStream(Stream):
    def __init__(self, words):
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.buffer = memoryview(bytearray(BLOCK))

    def some(self, limit):
        return self.buffer[:os.readv(self.process.stdout.fileno(), [self.buffer[:min(limit, BLOCK)]])]

    def write(self, data):
        while data:
            data = data[os.write(self.process.stdin.fileno(), data):]


def fail(why):
    print(why, file=sys.stderr)
    sys.exit(1)


def stream(kind, words):
    if kind == "command":
        return CommandStream(words)
    connection = socket.create_connection(("127.0.0.1", int(words[0])))
    return {"tcp": Stream, "websocket": WebSocketStream}[kind](connection)


def move(through, direction, count, expected):
    through.write(MAGIC.pack(direction.encode(), count))
    if direction == "down":
        seen = through.drain(count)
    else:
        for block in blocks(count):
            through.write(block)
        seen = SUM.unpack(through.read(SUM.size))[0]
    if seen != expected:
        fail("the bytes that came are not those that were sent")


def say(event, **facts):
    print(json.dumps({"event": event, "errors": 0, **facts}), flush=True)


def consume(direction, count, kind, *words):
    count = int(count)
    through, expected = stream(kind, words), checksum(count)
    move(through, direction, WARM_UP, checksum(WARM_UP))
    say("ready", operations=1)
    if not sys.stdin.readline():
        fail("the input ended before the line that starts the run")
    start = time.monotonic()
    move(through, direction, count, expected)
    say("result", operations=1, bytes=count, seconds=time.monotonic() - start)
    sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        consume(*sys.argv[1:])
