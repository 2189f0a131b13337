"""The load generator finds out every kind of wrong reply: figures of a server that lies are worth nothing.

Run: python3 -m unittest discover Benchmarks/tests   (BENCHLOAD_BINARY, or what was built in .build)
"""

import hashlib
import json
import os
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
from base64 import b64encode
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAD = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
GOOD = HEAD + b"content-LENGTH: 2\r\n\r\nok"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b64encode(hashlib.sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
AGREED = b"\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"
PLAIN = UPGRADE + ACCEPT + b"\r\n\r\n"
DEFLATE = UPGRADE + ACCEPT + AGREED + b"\r\n\r\n"
PATTERN = bytes(97 + index * index % 26 for index in range(250)) + b"!"


def benchload():
    named = os.environ.get("BENCHLOAD_BINARY")
    candidates = [Path(named)] if named else [ROOT / ".build" / kind / "benchload" for kind in ("release", "debug")]
    return next((path for path in candidates if path.exists()), None)


class Puppet:
    """A server that does what a test tells it: `serve` gets each accepted connection."""

    def __init__(self, serve):
        self.serve = serve
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.attend, args=(connection,), daemon=True).start()

    def attend(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            try:
                self.serve(connection)
            except OSError:
                pass


def read_head(connection):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        if not piece:
            raise OSError("gone")
        data += piece
    return data


def exactly(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise OSError("gone")
        data += piece
    return data


def read_frame(connection):
    """(first byte, unmasked payload) of a client's frame."""
    first, second = exactly(connection, 2)
    assert second & 0x80, "a client must mask"
    length = second & 0x7F
    if length >= 126:
        length = int.from_bytes(exactly(connection, 2 if length == 126 else 8), "big")
    key = exactly(connection, 4)
    return first, bytes(byte ^ key[index & 3] for index, byte in enumerate(exactly(connection, length)))


def frame(first, payload):
    size = len(payload)
    if size < 126:
        return bytes([first, size]) + payload
    if size < 65_536:
        return bytes([first, 126]) + size.to_bytes(2, "big") + payload
    return bytes([first, 127]) + size.to_bytes(8, "big") + payload


def answering(reply, times=1_000_000, split=False):
    """Answers each request with the same bytes, then ends its side and waits for the other to do so."""
    def serve(connection):
        for _ in range(times):
            read_head(connection)
            for piece in [reply[index:index + 1] for index in range(len(reply))] if split else [reply]:
                connection.sendall(piece)
        # Closing with a request unread would reset the connection: that is another error.
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass
    return serve


def body(length):
    """What `--expect-file` stands for, with the pattern of 251 letters that the tests write there."""
    return (PATTERN * (length // len(PATTERN) + 1))[:length]


def with_body(content, declared=None):
    return HEAD + b"Content-Length: %d\r\n\r\n" % (len(content) if declared is None else declared) + content


def secured(context, serve):
    """The same over TLS; `context` may be a function that makes one for each connection."""
    def attend(connection):
        used = context() if callable(context) else context
        with used.wrap_socket(connection, server_side=True) as secure:
            serve(secure)
    return attend


def listening(connection):
    """Says nothing, and waits for the other side to end."""
    while connection.recv(65_536):
        pass


def echoing(upgrade, reply):
    """Upgrades, then sends `reply(first byte, payload)` for each message."""
    def serve(connection):
        read_head(connection)
        connection.sendall(upgrade)
        while True:
            connection.sendall(reply(*read_frame(connection)))
    return serve


class LoadTestCase(unittest.TestCase):
    def run_load(self, serve, mode, *options, stdin=None):
        with Puppet(serve) as puppet:
            done = subprocess.run(
                [benchload(), mode, "--port", str(puppet.port), "--connections", "2", "--seconds", "0.2", *options],
                input=stdin, capture_output=True, text=True, timeout=30)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return done.returncode, lines[-1] if lines else {}, done.stderr


@unittest.skipUnless(benchload(), "benchload is not built")
class LoadGeneratorTests(LoadTestCase):
    def test_right_replies_are_counted(self):
        code, result, _ = self.run_load(
            answering(GOOD), "http", "--expect", "ok", "--operations", "50", "--seconds", "5")
        self.assertEqual((code, result["operations"], result["errors"]), (0, 50, 0))
        self.assertEqual(result["replyBytes"], len(GOOD))

    def test_a_reply_may_come_byte_by_byte(self):
        code, result, _ = self.run_load(answering(GOOD, split=True), "http", "--expect", "ok")
        self.assertEqual((code, result["errors"]), (0, 0))
        self.assertGreater(result["operations"], 0)

    def test_each_wrong_http_reply_is_named(self):
        samples = {
            b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n": "status 500 instead of 200",
            HEAD + b"\r\n": "no Content-Length",
            HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok": "two Content-Length",
            HEAD + b"Content-Length: 2x\r\n\r\nok": "no number as its Content-Length",
            HEAD + b"Content-Length: \r\n\r\nok": "no number as its Content-Length",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n": "Transfer-Encoding",
            HEAD + b"Content-Length: 2\r\n\r\nno": "not the expected one",
            HEAD + b"Content-Length: 3\r\n\r\nok!": "not the expected one",
            b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok": "does not start with HTTP/1.1",
            GOOD + GOOD: "nobody asked for",
        }
        for reply, reason in samples.items():
            with self.subTest(reason=reason):
                code, result, _ = self.run_load(answering(reply), "http", "--expect", "ok")
                self.assertEqual((code, result["errors"]), (1, 2), result)
                self.assertIn(reason, "".join(result["reasons"]))

    def test_a_connection_closed_early_is_an_error(self):
        code, result, _ = self.run_load(answering(GOOD, times=3), "http")
        self.assertEqual((code, result["operations"], result["errors"]), (1, 6, 2))
        self.assertIn("the server closed the connection", result["reasons"])

    def test_a_reply_that_never_comes_is_an_error(self):
        code, result, _ = self.run_load(lambda connection: exactly(connection, 1 << 20), "http")
        self.assertEqual((code, result["operations"], result["errors"]), (1, 0, 2))
        self.assertIn("no reply within five seconds of the end", result["reasons"])

    def test_messages_of_every_length_form_come_back(self):
        for size in (1, 125, 126, 65_535, 65_536):
            with self.subTest(size=size):
                code, result, _ = self.run_load(
                    echoing(PLAIN, frame), "ws-echo", "--size", str(size), "--token", "abc", "--operations", "4",
                    "--seconds", "10")
                self.assertEqual((code, result["operations"], result["messageBytes"]), (0, 4, size), result)

    def test_a_compressed_echo_is_inflated_and_compared(self):
        code, result, _ = self.run_load(
            echoing(DEFLATE, frame), "ws-echo", "--size", "900", "--payload", "json", "--deflate")
        self.assertEqual((code, result["errors"]), (0, 0), result)
        self.assertLess(result["replyPayloadBytes"], 900)

    def test_each_wrong_frame_is_named(self):
        samples = [
            (PLAIN, lambda first, data: frame(first, data[:-1] + b"\x00"), "not the message"),
            (PLAIN, lambda first, data: frame(first, data[:-1]), "not the message"),
            (PLAIN, lambda first, data: frame(0x81, data), "text and not binary"),
            (PLAIN, lambda first, data: frame(first | 0x40, data), "compressed, unasked"),
            (PLAIN, lambda first, data: frame(first | 0x20, data), "reserved bits"),
            (PLAIN, lambda first, data: frame(first & 0x7F, data), "fragments"),
            (PLAIN, lambda first, data: frame(0x83, data), "opcode 3"),
            (PLAIN, lambda first, data: frame(0x88, b"\x03\xf1"), "closed with code 1009"),
            (PLAIN, lambda first, data: bytes([first, 0x94]) + bytes(4) + data, "masked"),
            (PLAIN, lambda first, data: frame(first, bytes(100_000)), "a frame of 100000 bytes"),
            (PLAIN, lambda first, data: frame(first, data) * 2, "nobody asked for"),
            (DEFLATE, lambda first, data: frame(first & ~0x40, data), "not compressed"),
            (DEFLATE, lambda first, data: frame(first, b""), "inflates to something else"),
            (DEFLATE, lambda first, data: frame(first, b"\xff" * 9), "does not inflate"),
            (DEFLATE, lambda first, data: frame(first, b"\x4a\x04\x00"), "inflates to something else"),
        ]
        for upgrade, reply, reason in samples:
            with self.subTest(reason=reason):
                deflate = ["--deflate"] if upgrade is DEFLATE else []
                code, result, _ = self.run_load(echoing(upgrade, reply), "ws-echo", *deflate)
                self.assertEqual((code, result["errors"]), (1, 2), result)
                self.assertIn(reason, "".join(result["reasons"]))

    def test_each_wrong_handshake_is_named(self):
        samples = [
            (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", [], "status 401"),
            (UPGRADE + b"AAAA\r\n\r\n", [], "wrong Upgrade or Sec-WebSocket-Accept"),
            (DEFLATE, [], "asked for no extension"),
            (PLAIN, ["--deflate"], "asked for deflate without takeover"),
            (UPGRADE + ACCEPT + b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", ["--deflate"], "agreed"),
        ]
        for upgrade, options, reason in samples:
            with self.subTest(reason=reason):
                code, result, _ = self.run_load(echoing(upgrade, frame), "ws-echo", *options)
                self.assertEqual((code, result["errors"]), (1, 2), result)
                self.assertIn(reason, "".join(result["reasons"]))

    def test_the_token_goes_into_the_query(self):
        heads = []

        def serve(connection):
            heads.append(read_head(connection))
            connection.sendall(PLAIN)
            while True:
                connection.sendall(frame(*read_frame(connection)))

        self.run_load(serve, "ws-echo", "--path", "/a?b=c", "--token", "x.y.z")
        self.assertTrue(heads[0].startswith(b"GET /a?b=c&token=x.y.z HTTP/1.1\r\n"), heads)

    def test_a_ping_is_answered_before_the_echo_counts(self):
        def serve(connection):
            read_head(connection)
            connection.sendall(PLAIN)
            while True:
                first, data = read_frame(connection)
                connection.sendall(frame(0x89, b"well?"))
                assert read_frame(connection) == (0x8A, b"well?")
                connection.sendall(frame(first, data))

        code, result, _ = self.run_load(serve, "ws-echo", "--operations", "6", "--seconds", "5")
        self.assertEqual((code, result["operations"]), (0, 6), result)

    def test_idle_sockets_are_held_until_the_input_ends(self):
        code, result, _ = self.run_load(echoing(PLAIN, frame), "ws-idle", stdin="")
        self.assertEqual((code, result["event"], result["sockets"]), (0, "end", 2))

    def test_an_idle_socket_that_is_lost_is_an_error(self):
        def serve(connection):
            read_head(connection)
            connection.sendall(PLAIN + frame(0x88, b"\x03\xe9"))
            exactly(connection, 1)

        with Puppet(serve) as puppet:
            load = subprocess.Popen(
                [benchload(), "ws-idle", "--port", str(puppet.port), "--connections", "1", "--wait"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            out, _ = load.communicate("", timeout=10)
        self.assertEqual(load.returncode, 1)
        self.assertIn("closed with code 1001", out)

    def test_what_cannot_run_says_why_and_exits_2(self):
        samples = {
            ("dance",): "the first argument is one of",
            ("http",): "--port is missing",
            ("http", "--port", "70000"): "not a number from 1 to 65535",
            ("http", "--port"): "needs a value",
            ("http", "--haste", "1"): "there is no option --haste",
            ("http", "--port", "1"): "Connection refused",
            ("http", "--port", "1", "--address", "localhost"): "not an IPv4 address",
            ("ws-echo", "--port", "1", "--payload", "json", "--size", "5"): "needs at least",
            ("ws-idle", "--port", "1", "--connections", "1000000"): "the hard limit",
            ("tls-handshake", "--port", "1"): "needs --tls",
            ("http", "--port", "1", "--tls", "/nowhere"): "/nowhere cannot be read",
            ("http", "--port", "1", "--tls", "/dev/null"): "/dev/null holds no certificate",
            ("http", "--port", "1", "--expect-file", "/etc/passwd"): "come together",
            ("http", "--port", "1", "--expect-file", "/nowhere", "--expect-length", "5"): "No such file",
            ("http", "--port", "1", "--expect-file", "/dev/null", "--expect-length", "5"): "is empty",
        }
        for arguments, reason in samples.items():
            with self.subTest(arguments=arguments):
                done = subprocess.run(
                    [benchload(), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
                self.assertEqual(done.returncode, 2)
                self.assertIn(reason, done.stderr)


@unittest.skipUnless(benchload(), "benchload is not built")
class LargeBodyTests(LoadTestCase):
    LENGTH = 700_001

    def setUp(self):
        file = tempfile.NamedTemporaryFile()
        self.addCleanup(file.close)
        file.write(PATTERN)
        file.flush()
        self.options = ["--expect-file", file.name, "--expect-length", str(self.LENGTH)]

    def test_a_body_larger_than_any_buffer_is_counted(self):
        reply = with_body(body(self.LENGTH))
        code, result, _ = self.run_load(answering(reply), "http", *self.options, "--operations", "6", "--seconds", "9")
        self.assertEqual((code, result["operations"], result["replyBytes"]), (0, 6, len(reply)), result)

    def test_each_wrong_body_is_found_out(self):
        right = body(self.LENGTH)
        samples = {
            "last byte": right[:-1] + b"?",
            "first byte": b"?" + right[1:],
            "buffer twice": right[:65_536] + right[:65_536] + right[131_072:],
            "buffer left out": right[:131_072] + right[196_608:] + right[:65_536],
            "too short": right[:-1],
            "too long": right + b"a",
        }
        for name, content in samples.items():
            with self.subTest(name):
                code, result, _ = self.run_load(answering(with_body(content)), "http", *self.options)
                self.assertEqual((code, result["operations"], result["errors"]), (1, 0, 2), result)
                self.assertIn("not the expected one", "".join(result["reasons"]))

    def test_what_comes_after_a_body_is_found_out(self):
        reply = with_body(body(self.LENGTH)) + with_body(body(self.LENGTH))[:1000]
        code, result, _ = self.run_load(answering(reply, times=1), "http", *self.options)
        self.assertEqual((code, result["errors"]), (1, 2), result)

    def test_a_body_that_ends_early_is_an_error(self):
        reply = with_body(body(self.LENGTH - 1), declared=self.LENGTH)
        code, result, _ = self.run_load(answering(reply, times=1), "http", *self.options)
        self.assertEqual((code, result["operations"], result["errors"]), (1, 0, 2), result)
        self.assertIn("the server closed the connection", result["reasons"])


@unittest.skipUnless(benchload(), "benchload is not built")
class TLSTests(LoadTestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.certificate, cls.other = cls.make("one"), cls.make("other")

    @classmethod
    def make(cls, name):
        certificate, key = Path(cls.folder.name, f"{name}.pem"), Path(cls.folder.name, f"{name}.key")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-out", certificate, "-keyout", key], check=True, capture_output=True)
        return certificate, key

    def context(self, certificate=None, tickets=1):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(*(certificate or self.certificate))
        made.num_tickets = tickets
        return made

    def run_tls(self, serve, mode, *options):
        return self.run_load(serve, mode, "--tls", str(self.certificate[0]), *options)

    def test_replies_over_tls_are_counted(self):
        code, result, _ = self.run_tls(
            secured(self.context(), answering(GOOD)), "http", "--expect", "ok", "--operations", "50", "--seconds", "9")
        self.assertEqual((code, result["operations"], result["errors"]), (0, 50, 0), result)

    def test_a_large_body_over_tls_is_compared(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(PATTERN)
            file.flush()
            for flaw, code in ((b"", 0), (b"?", 1)):
                content = body(700_000 - len(flaw)) + flaw
                done, result, _ = self.run_tls(
                    secured(self.context(), answering(with_body(content))), "http", "--expect-file", file.name,
                    "--expect-length", "700000", "--operations", "4", "--seconds", "9")
                self.assertEqual((done, result["operations"]), (code, 0 if flaw else 4), result)

    def test_messages_over_tls_come_back(self):
        code, result, _ = self.run_tls(
            secured(self.context(), echoing(PLAIN, frame)), "ws-echo", "--size", "70000", "--operations", "4",
            "--seconds", "9")
        self.assertEqual((code, result["operations"]), (0, 4), result)

    def test_each_wrong_server_is_found_out(self):
        old = self.context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        samples = {
            "shows another certificate": secured(self.context(self.other), listening),
            "alert protocol version": secured(old, listening),
            "wrong version number": lambda connection: (connection.sendall(GOOD), listening(connection)),
            "TLS handshake: ": lambda connection: connection.shutdown(socket.SHUT_RDWR),
        }
        for reason, serve in samples.items():
            for mode in ("http", "tls-handshake"):
                with self.subTest(reason=reason, mode=mode):
                    code, result, _ = self.run_tls(serve, mode)
                    self.assertEqual((code, result["operations"], result["errors"]), (1, 0, 2), result)
                    self.assertIn(reason, "".join(result["reasons"]))

    def test_full_handshakes_are_counted(self):
        code, result, _ = self.run_tls(
            secured(self.context(), listening), "tls-handshake", "--operations", "20", "--seconds", "9")
        self.assertEqual((code, result["operations"], result["resumed"]), (0, 20, 0), result)

    def test_resumed_handshakes_are_counted(self):
        for tickets in (1, 2):
            code, result, _ = self.run_tls(
                secured(self.context(tickets=tickets), listening), "tls-handshake", "--resume", "--operations", "20",
                "--seconds", "9")
            self.assertEqual((code, result["operations"], result["resumed"]), (0, 20, 20), result)

    def test_a_server_that_does_not_resume_is_found_out(self):
        # A context of its own for each connection: no ticket of another can be opened.
        code, result, _ = self.run_tls(secured(self.context, listening), "tls-handshake", "--resume")
        self.assertEqual((code, result["operations"], result["errors"]), (1, 0, 2), result)
        self.assertIn("a session was not resumed", result["reasons"])

    def test_a_handshake_without_a_ticket_is_an_error(self):
        code, result, _ = self.run_tls(
            secured(self.context(tickets=0), lambda connection: connection.shutdown(socket.SHUT_RDWR)), "tls-handshake")
        self.assertEqual((code, result["operations"], result["errors"]), (1, 0, 2), result)

    def test_data_in_a_handshake_is_found_out(self):
        def serve(connection):
            connection.sendall(b"welcome")
            listening(connection)

        code, result, _ = self.run_tls(secured(self.context(tickets=0), serve), "tls-handshake")
        self.assertEqual((code, result["operations"], result["errors"]), (1, 0, 2), result)
        self.assertIn("data came that nobody asked for", result["reasons"])


if __name__ == "__main__":
    unittest.main()
