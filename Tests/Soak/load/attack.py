"""Slow connections of one kind, held open all the time: one that is cut is replaced at once.

Settings: `kind`, `port`, `count`, `interval` in seconds between two bytes of a connection (null: nothing after its
beginning), `source` (the address it comes from), `replace` (false: one that is cut is not replaced), `path` of a read,
`token` of a frame, `idle` (it runs only when nobody else wants its processor: attackers elsewhere would not slow down
the honest clients' own machine either). The order `open` is answered when all stand; every other order is answered with
what happened since the last, and `close` drops them all.
"""

import errno
import json
import os
import selectors
import socket
import struct
import sys
import time
from collections import Counter, deque

#: Steps in which the bytes of all connections are spread over the interval, in seconds.
STEP = 0.01
#: As over Ethernet. With loopback's own segments of 64 KiB the kernel gives every socket 2.6 MB to send from, and what
#: thousands of slow readers would then show is how TCP works without memory.
SEGMENT = 1460
#: Connections opened in one step.
BURST = 20


class Kind:
    """What a slow connection says at first, and then with each turn."""

    reads = True

    def __init__(self, path="", token=""):
        self.path, self.token = path, token

    def greeting(self):
        return b""

    def turn(self, number):
        return b"a"


class SlowHead(Kind):
    """A field that never ends, a byte at a time."""

    def greeting(self):
        return b"GET /echo HTTP/1.1\r\nHost: localhost\r\nX-Slow: "


class SlowBody(Kind):
    """An upload of a MiB, a byte at a time."""

    def greeting(self):
        return b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048576\r\n\r\n"


class SlowRead(Kind):
    """Asks for much, and takes a little at a time."""

    reads = False

    def greeting(self):
        return f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


class SlowFrame(Kind):
    """The head of a frame of 64 KiB byte by byte, then its payload."""

    FRAME = b"\x82\xff" + struct.pack("!Q", 65536) + b"\0\0\0\0"

    def greeting(self):
        return (
            f"GET /echo?token={self.token} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ).encode()

    def turn(self, number):
        return self.FRAME[number : number + 1] or b"a"


class SlowHandshake(Kind):
    """A TLS ClientHello of 508 bytes that starts well, and never ends."""

    HEAD = b"\x16\x03\x01\x01\xfc\x01\x00\x01\xf8\x03\x03"

    def greeting(self):
        return self.HEAD

    def turn(self, number):
        # Its record must not become complete, or there is an alert in place of a time-out.
        return b"\0" if number < 490 else b""


KINDS = {"head": SlowHead, "body": SlowBody, "read": SlowRead, "frame": SlowFrame, "handshake": SlowHandshake}


class Attack:
    def __init__(self, settings):
        self.kind = KINDS[settings["kind"]](settings.get("path", ""), settings.get("token", ""))
        self.port = settings["port"]
        self.count = settings["count"]
        self.interval = settings.get("interval")
        self.source = settings.get("source", "127.0.0.1")
        self.replaces = settings.get("replace", True)
        self.selector = selectors.EpollSelector()
        self.selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        self.turns = {}  # socket: how many turns it has had
        self.order = deque()  # whose turn is next; those that ended are left out when it comes to them
        self.due = 0.0
        self.heard = {}
        self.tally = Counter()
        self.ends = Counter()

    # Connections

    def connect(self):
        connection = socket.socket()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        if not self.kind.reads:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.bind((self.source, 0))
        connection.settimeout(10)
        connection.connect(("127.0.0.1", self.port))
        connection.setblocking(False)
        if greeting := self.kind.greeting():
            connection.send(greeting)
        self.turns[connection] = 0
        self.order.append(connection)
        if self.kind.reads:
            self.selector.register(connection, selectors.EVENT_READ)
        self.tally["opened"] += 1

    def drop(self, connection):
        if self.kind.reads:
            self.selector.unregister(connection)
        self.turns.pop(connection)
        self.heard.pop(connection, None)
        connection.close()

    def end(self, connection, how):
        """Counts what the gateway said last, or how it ended the connection without a word."""
        self.ends[self.heard.get(connection, how)] += 1
        self.drop(connection)

    def receive(self, connection):
        try:
            data = connection.recv(65536 if self.kind.reads else 512)
        except BlockingIOError:
            return
        except OSError as error:
            self.end(connection, errno.errorcode.get(error.errno, "error"))
            return
        if not data:
            self.end(connection, "closed")
            return
        self.tally["received"] += len(data)
        self.listen(connection, data)

    def listen(self, connection, data):
        """Remembers the last status and close code."""
        if data.startswith(b"HTTP/1.1 "):
            status = data[9:12].decode()
            if status not in ("200", "101"):
                self.heard[connection] = status
            data = data.partition(b"\r\n\r\n")[2]
        if isinstance(self.kind, SlowFrame):
            close = data.rfind(b"\x88", max(0, len(data) - 127))
            if close >= 0 and len(data) == close + 2 + data[close + 1]:
                self.heard[connection] = str(struct.unpack("!H", data[close + 2 : close + 4])[0])

    def turn(self, connection):
        if not self.kind.reads:
            self.receive(connection)
            return
        piece = self.kind.turn(self.turns[connection])
        self.turns[connection] += 1
        try:
            if piece:
                self.tally["sent"] += connection.send(piece)
        except BlockingIOError:
            pass
        except OSError:
            # What it was told before may still be there.
            while connection in self.turns:
                self.receive(connection)

    def take_turns(self):
        """As many as belong into one step, so that the bytes of all are spread evenly."""
        for _ in range(max(1, round(len(self.turns) * STEP / self.interval))):
            while self.order and self.order[0] not in self.turns:
                self.order.popleft()
            if not self.order:
                return
            connection = self.order.popleft()
            self.turn(connection)
            if connection in self.turns:
                self.order.append(connection)

    # Orders

    def run(self):
        """Until standard input ends."""
        active = False
        while True:
            now = time.monotonic()
            if active and self.replaces:
                for _ in range(min(BURST, self.count - len(self.turns))):
                    self.connect()
            if active and self.interval and now >= self.due:
                self.due = max(now, self.due + STEP)
                self.take_turns()
            for key, _ in self.selector.select(STEP if active else None):
                if key.fileobj != sys.stdin.fileno():
                    # Unless an order of this very batch has closed it.
                    if key.fileobj in self.turns:
                        self.receive(key.fileobj)
                    continue
                order = os.read(key.fd, 64).strip()
                if not order:
                    return
                if order == b"open":
                    active = True
                    self.open()
                self.report()
                if order == b"close":
                    active = False
                    self.close()

    def open(self):
        while len(self.turns) < self.count:
            for _ in range(min(BURST, self.count - len(self.turns))):
                self.connect()
            time.sleep(STEP)

    def close(self):
        for connection in list(self.turns):
            self.drop(connection)
        self.order.clear()

    def report(self):
        print(json.dumps({"held": len(self.turns), **self.tally, "ends": dict(self.ends)}), flush=True)
        self.tally.clear()
        self.ends.clear()


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    if settings.get("idle"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    Attack(settings).run()
