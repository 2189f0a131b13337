"""Who the gateway takes a client for: behind an ingress, behind a PROXY protocol balancer, and told by nobody."""

import json
import socket
import ssl
import struct

import pytest
from harness import answers, tokens
from harness.processes import run
from harness.waiting import until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def _mirror(handler):
    """Answers with the fields of the request, as JSON."""
    fields = {name.lower(): value for name, value in handler.headers.items()}
    answers.respond(handler, json.dumps(fields).encode(), content_type="application/json")


@pytest.fixture(scope="module")
def upstream():
    server = answers.Server({"/api": _mirror})
    yield server
    server.stop()


def proxying(upstream):
    return {"PLUGINS": "proxy,echo", "PROXY_ROUTES": f"/api={upstream.origin}", "LOG_FORMAT": "json"}


@pytest.fixture(scope="module")
def gate(shared_gateway, upstream):
    return shared_gateway(**proxying(upstream))


@pytest.fixture(scope="module")
def door(gate, ingress):
    return f"https://localhost:{ingress(gate).port}"


def seen(url, *fields, authority=None):
    """What the upstream got."""
    flags = [word for field in fields for word in ("-H", field)]
    trust = ["--cacert", authority.certificate] if authority else []
    return json.loads(run(["curl", "--silent", "--fail", "--max-time", "20", *trust, *flags, url]).stdout)


def logged(gate, request_id):
    """The access log's line of a request."""

    def find():
        for line in gate.stdout.splitlines():
            if line.startswith("{") and (entry := json.loads(line)).get("component") == "access":
                if entry["correlationId"] == request_id:
                    return entry
        return None

    until(find, f"the line of {request_id}")
    return find()


def test_behind_an_ingress_the_upstream_is_told_of_the_client_and_of_nothing_it_made_up(door, gate, authority):
    fields = seen(
        f"{door}/api", "X-Request-ID: through-1", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: evil.example",
        "True-Client-IP: 1.2.3.4", "CF-Connecting-IP: 1.2.3.4", "X-Forwarded-User: admin", "Forwarded: for=1.2.3.4",
        f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01", authority=authority)
    host = door.removeprefix("https://")
    client = fields["x-forwarded-for"]
    assert client in ("127.0.0.1", "::1")
    assert (fields["x-forwarded-proto"], fields["x-forwarded-host"]) == ("https", host)
    node = f'"[{client}]"' if ":" in client else client
    assert fields["forwarded"] == f'for={node};proto=https;host="{host}"'
    assert fields["x-request-id"] == "through-1"
    assert fields["traceparent"] == f"00-{TRACE}-00f067aa0ba902b7-01"
    assert not {
        "true-client-ip", "cf-connecting-ip", "x-forwarded-user", "x-real-ip", "x-original-forwarded-for",
        "x-forwarded-scheme", "x-scheme", "x-forwarded-port",
    } & set(fields)
    entry = logged(gate, "through-1")
    assert (entry["remote"], entry["traceId"]) == (client, TRACE)


def test_an_invalid_trace_is_not_passed_on(gate):
    assert not {"traceparent", "tracestate"} & set(
        seen(f"{gate.origin}/api", f"traceparent: 00-{TRACE}-0000000000000000-01", "tracestate: a=b"))


def test_a_stranger_is_who_connects_and_gets_an_id_of_the_gateways(shared_gateway, upstream):
    strict = shared_gateway(**proxying(upstream) | {"TRUSTED_PROXIES": None})
    fields = seen(
        f"http://127.0.0.1:{strict.port}/api", "X-Request-ID: mine", "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-Proto: https")
    assert (fields["x-forwarded-for"], fields["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert len(fields["x-request-id"]) == 32
    seen(f"http://127.0.0.1:{strict.port}/api", "X-Forwarded-For: 203.0.113.9")
    until(lambda: strict.stdout.count('"component":"access"') >= 2, "both requests in the log")
    assert strict.stdout.count("TRUSTED_PROXIES=127.0.0.1") == 1


# PROXY protocol

LINE = b"PROXY TCP4 203.0.113.9 192.0.2.1 54321 443\r\n"
BINARY = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", 12 + 7) + socket.inet_aton("203.0.113.9")
    + socket.inet_aton("192.0.2.1") + struct.pack(">HH", 54321, 443) + b"\x04\x00\x04junk")


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "tls"])
def balanced(request, shared_gateway, upstream, certificate):
    tls = {"TLS_CERTIFICATE": certificate.chain, "TLS_KEY": certificate.key} if request.param else {}
    gate = shared_gateway(wait=False, **proxying(upstream) | {"CLIENT_IP_HEADER": "proxy-protocol"} | tls)
    until(lambda: gate.status("/readyz", ops=True) == 200, "the operator's port")
    return gate


def ask(gate, *pieces, authority=None):
    """Sends pieces one by one, then a request, over TLS if the gateway speaks it; returns its whole answer."""
    with socket.create_connection(("127.0.0.1", gate.port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        if gate.is_tls:
            context = ssl.create_default_context(cafile=authority.certificate)
            connection = context.wrap_socket(connection, server_hostname="localhost")
        connection.sendall(b"GET /api HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


@pytest.mark.parametrize("header", [LINE, BINARY], ids=["version 1", "version 2"])
def test_a_balancer_names_the_client_ahead_of_http_and_of_tls(header, balanced, authority):
    for pieces in ([header], [header[:7], header[7:]], [bytes([each]) for each in header]):
        answer = ask(balanced, *pieces, authority=authority)
        fields = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert fields["x-forwarded-for"] == "203.0.113.9"
        assert fields["x-forwarded-proto"] == ("https" if balanced.is_tls else "http")
        assert logged(balanced, fields["x-request-id"])["remote"] == "203.0.113.9"


def test_without_its_header_a_connection_is_closed(balanced, authority):
    try:
        assert ask(balanced, authority=authority) == b""
    except (ConnectionError, ssl.SSLError):
        pass
    until(lambda: "no PROXY header" in balanced.stdout, "the line that says why")


def test_a_socket_behind_a_balancer_opens(shared_gateway):
    gate = shared_gateway(wait=False, CLIENT_IP_HEADER="proxy-protocol")
    until(lambda: gate.status("/readyz", ops=True) == 200, "the operator's port")
    with socket.create_connection(("127.0.0.1", gate.port), timeout=20) as connection:
        connection.sendall(
            LINE + f"GET /echo?token={tokens.mint()} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 101 ")
