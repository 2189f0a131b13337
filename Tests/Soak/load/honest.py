"""An honest client that notices when it is served late.

Settings: `port`, `rate` of exchanges a second, `token`, `authority` (a file; with it everything goes over TLS). The
order `measure SECONDS` is answered with the number of exchanges, those that failed, and p50, p99 and the longest in
milliseconds.

One exchange after the other on a schedule: requests on kept connections, with and without a body, on new connections,
and messages over WebSockets. One that starts late because the one before it took long counts from when it was due, so a
stall costs as many slow exchanges as were due in it.
"""

import json
import socket
import ssl
import struct
import sys
import time

BODY = bytes(range(256)) * 4
PATIENCE = 10
#: Of each kind of connection; they take turns.
KEPT = 8


class Client:
    def __init__(self, settings):
        self.port, self.rate, self.token = settings["port"], settings["rate"], settings["token"]
        authority = settings.get("authority")
        self.tls = ssl.create_default_context(cafile=authority) if authority else None
        self.kept = [self.connect() for _ in range(KEPT)]
        self.sockets = [self.upgraded() for _ in range(KEPT)]
        self.works = (self.get, self.echo, self.message, self.get, self.message, self.visit)

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.tls.wrap_socket(connection, server_hostname="localhost") if self.tls else connection

    def upgraded(self):
        connection = self.connect()
        connection.sendall((
            f"GET /echo?token={self.token} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
        head = self.read_until(connection, b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        return connection

    # One exchange each

    def get(self, number):
        self.request(self.kept[number % KEPT], b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n", b"ok")

    def echo(self, number):
        head = f"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n\r\n"
        self.request(self.kept[number % KEPT], head.encode() + BODY, BODY)

    def visit(self, _):
        with self.connect() as connection:
            self.request(connection, b"GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"ok")

    def message(self, number):
        connection = self.sockets[number % KEPT]
        connection.sendall(b"\x82\xfe" + struct.pack("!H", len(BODY)) + b"\0\0\0\0" + BODY)
        expected = b"\x82\x7e" + struct.pack("!H", len(BODY)) + BODY
        answer = self.read(connection, len(expected))
        while answer.startswith(b"\x89\x00"):  # a heartbeat's ping in between
            connection.sendall(b"\x8a\x80\0\0\0\0")
            answer = answer[2:] + self.read(connection, 2)
        assert answer == expected, answer[:100]

    def request(self, connection, request, body):
        connection.sendall(request)
        head = self.read_until(connection, b"\r\n\r\n")
        head, _, rest = head.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert f"Content-Length: {len(body)}\r\n".encode().lower() in head.lower() + b"\r\n", head
        assert rest + self.read(connection, len(body) - len(rest)) == body

    @staticmethod
    def read(connection, count):
        data = b""
        while len(data) < count:
            piece = connection.recv(count - len(data))
            assert piece, f"the connection ended after {data[:100]}"
            data += piece
        return data

    @staticmethod
    def read_until(connection, mark):
        data = b""
        while mark not in data:
            piece = connection.recv(65536)
            assert piece, f"the connection ended after {data[:100]}"
            data += piece
        return data

    # All of them

    def measure(self, seconds):
        times, failures = [], []
        start = time.perf_counter()
        for number in range(int(seconds * self.rate)):
            due = start + number / self.rate
            while (now := time.perf_counter()) < due:
                time.sleep(due - now)
            # The clock's own lateness in waking us is nobody's fault; that of an exchange before this one is.
            begin = now if now - due < 0.001 else due
            try:
                self.works[number % len(self.works)](number // len(self.works))
            except (AssertionError, OSError) as error:
                failures.append(f"{type(error).__name__}: {error}"[:200])
                break  # what follows on a broken connection tells nothing
            times.append(time.perf_counter() - begin)
        times.sort()
        points = {"p50": 0.5, "p99": 0.99, "longest": 1}
        return {"exchanges": len(times), "failures": failures} | {
            name: 1000 * times[min(len(times) - 1, int(len(times) * share))] for name, share in points.items() if times
        }


if __name__ == "__main__":
    client = Client(json.loads(sys.argv[1]))
    for line in iter(sys.stdin.readline, ""):
        print(json.dumps(client.measure(float(line.split()[1]))), flush=True)
