"""What an idle TLS connection holds: OpenSSL gives its record buffers back."""

import contextlib
import re
import socket
import ssl
from pathlib import Path

import pytest
from harness.gateway import is_sanitized
from harness.handshakes import Visitor, request
from harness.waiting import until

# A sanitizer's own memory hides what the gateway's is.
pytestmark = pytest.mark.skipif(is_sanitized(), reason="memory is measured without sanitizers")

CONNECTIONS = 200
KIB = 1024
RECORD = b"x" * 16000


def anonymous(process):
    """Anonymous memory of a process, in bytes."""
    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss_Anon:\s+(\d+) kB", rollup, re.MULTILINE)[1]) * KIB


class Paused:
    """A TLS client by hand, so that it can stop in the middle of a record."""

    def __init__(self, visitor, port):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = visitor.context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.plain = socket.create_connection(("127.0.0.1", port), timeout=15)
        self.run(self.tls.do_handshake)

    def run(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.plain.sendall(self.outgoing.read())
                self.incoming.write(self.plain.recv(65536))
            finally:
                self.plain.sendall(self.outgoing.read())

    def send_half_a_record(self):
        self.tls.write(RECORD)
        sealed = self.outgoing.read()
        self.plain.sendall(sealed[: len(sealed) // 2])


def idle(visitor, port):
    """A connection that has read and written a whole record, and then a small one, and is at rest."""
    secure = visitor.connect(port)
    secure.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(RECORD) + RECORD)
    received = b""
    while len(received) < len(RECORD):
        received += secure.recv(65536)
    request(secure)
    return secure


def halfway(visitor, port):
    """One that stopped within a record, which has to be kept until the rest comes."""
    connection = Paused(visitor, port)
    connection.send_half_a_record()
    return connection.plain


@pytest.fixture
def measured(gateway, certificate, authority):
    """Anonymous memory for each of many connections to a gateway of their own."""

    def measure(connect, is_enough):
        edge = gateway(
            LOOPS=1, TLS_CERTIFICATE=certificate.chain, TLS_KEY=certificate.key, HTTP_HEAD_TIMEOUT="5m",
            HTTP_KEEP_ALIVE_TIMEOUT="5m")
        visitor = Visitor(authority.certificate)
        # What the process needs once, it has after these.
        for _ in range(20):
            visitor.visit(edge.port)
        before = anonymous(edge)
        with contextlib.ExitStack() as stack:
            for _ in range(CONNECTIONS):
                stack.enter_context(contextlib.closing(connect(visitor, edge.port)))
            return until(
                lambda: (found := (anonymous(edge) - before) / CONNECTIONS) and is_enough(found) and found, "memory")

    return measure


def test_an_idle_connection_holds_no_record_buffers(measured):
    """OpenSSL's own state and ours; a buffer to read and one to write would come to 32 KiB more."""
    assert measured(idle, lambda _: True) < 32 * KIB


def test_the_measure_sees_the_buffer_of_half_a_record(measured):
    at_rest = measured(idle, lambda _: True)
    measured(halfway, lambda found: found > at_rest + 8 * KIB)
