"""The proxy plugin between curl and a server written for the test."""

import json
import socket
import threading

import pytest
from harness import answers, tokens
from harness.processes import free_port, run

_BIG = bytes(range(256)) * 8192


def _mirror(handler):
    """Answers with what was asked, as JSON."""
    body = handler.read_body()
    text = json.dumps({
        "method": handler.command, "path": handler.path, "headers": handler.headers.items(), "body": body.decode("latin1"),
    }).encode()
    answers.respond(
        handler, text, content_type="application/json", x_upstream="yes", connection="close, X-Secret", x_secret="s")


def _redirect(handler):
    host = handler.headers["Host"]
    answers.respond(handler, status=302, location=f"http://{host}/app/login?next=1")


def _refuse(handler):
    """Answers before it has read the body, and hangs up."""
    answers.respond(handler, b"too large", 413, connection="close")
    handler.close_connection = True


def _answer_early(handler):
    """The same, and goes on reading."""
    answers.respond(handler, b"too large", 413)
    handler.read_body()


def _echo(handler):
    """Answers with what it reads, as it reads it."""
    left = int(handler.headers["Content-Length"])
    handler.send_response(200)
    handler.send_header("Content-Length", str(left))
    handler.end_headers()
    while left:
        read = handler.rfile.read1(min(left, 65536))
        if not read:
            raise ConnectionError("the request ended early")
        left -= len(read)
        handler.wfile.write(read)


@pytest.fixture(scope="module")
def upstream():
    server = answers.Server({
        "/api/mirror": _mirror, "/app/mirror": _mirror, "/app/": _mirror, "/app": _mirror,
        "/api/big": answers.reply(_BIG, content_type="application/x-big"), "/app/redirect": _redirect,
        "/api/304": answers.reply(status=304), "/api/500": answers.reply(b"no", 500, content_type="text/plain"),
        "/api/refuse": _refuse, "/api/early": _answer_early, "/api/echo": _echo,
        "/api/empty": answers.reply(status=204),
    })
    yield server
    server.stop()


@pytest.fixture(scope="module")
def gate(shared_gateway, upstream, silent):
    return shared_gateway(
        PLUGINS="proxy,echo",
        PROXY_ROUTES=f"/api={upstream.origin},/site={upstream.origin}/app,/silent={silent},"
        f"/nobody=http://127.0.0.1:{free_port()},/nowhere=http://no-such-host.invalid",
        UPSTREAM_FIRST_BYTE_TIMEOUT="500ms",
        HTTP_MAX_BODY="32MiB",
        TRUSTED_PROXIES=None,
    )


def answer(url, *arguments):
    """Status, headers (lower-case names) and body, as curl sees them."""
    done = run(["curl", "--silent", "--show-error", "--max-time", "20", "--include", *arguments, url])
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    first, *lines = head.decode().lower().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name: value.strip() for name, _, value in pairs}, body


def mirrored(url, *arguments):
    status, _, body = answer(url, *arguments)
    assert status == 200, body
    seen = json.loads(body)
    seen["headers"] = {name.lower(): value for name, value in seen["headers"]}
    return seen


def test_a_request_arrives_as_it_was_sent(gate):
    seen = mirrored(f"{gate.origin}/api/mirror?a=1&b=%20", "-X", "PATCH", "--data", "body", "-H", "X-Own: yes")
    assert (seen["method"], seen["path"], seen["body"]) == ("PATCH", "/api/mirror?a=1&b=%20", "body")
    assert seen["headers"]["x-own"] == "yes"


@pytest.mark.parametrize("path, expected", [
    ("/site/mirror", "/app/mirror"), ("/site", "/app"), ("/site/", "/app/"), ("/site?x=1", "/app?x=1"),
])
def test_a_path_of_the_upstreams_takes_the_place_of_ours(path, expected, gate):
    assert mirrored(gate.origin + path)["path"] == expected


def test_the_client_is_named_by_the_gateway_alone(gate, upstream):
    seen = mirrored(
        f"{gate.origin}/api/mirror", "-4", "-H", "X-Forwarded-For: 1.2.3.4", "-H", "X-Real-IP: 1.2.3.4",
        "-H", "Forwarded: for=1.2.3.4", "-H", "Connection: X-Mine", "-H", "X-Mine: 1", "-H", "TE: trailers",
    )["headers"]
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["x-forwarded-host"] == f"localhost:{gate.port}"
    assert seen["host"] == upstream.origin.removeprefix("http://")
    assert seen["x-request-id"]
    assert seen["forwarded"] == f'for=127.0.0.1;proto=http;host="localhost:{gate.port}"'
    assert not {"x-real-ip", "x-mine", "te"} & set(seen)


def test_a_token_stays_here_and_the_rest_of_the_query_goes_on(gate):
    token = tokens.mint()
    assert mirrored(f"{gate.origin}/api/mirror?a=1&token={token}&b=2")["path"] == "/api/mirror?a=1&b=2"
    assert mirrored(f"{gate.origin}/api/mirror?token={token}")["path"] == "/api/mirror"


def test_fields_between_upstream_and_gateway_stay_there(gate):
    _, headers, _ = answer(f"{gate.origin}/api/mirror")
    assert headers["x-upstream"] == "yes"
    assert "x-secret" not in headers


def test_large_bodies_pass_both_ways(gate, tmp_path):
    status, headers, body = answer(f"{gate.origin}/api/big")
    assert (status, headers["content-type"], body == _BIG) == (200, "application/x-big", True)
    sent = tmp_path / "sent"
    sent.write_bytes(b"x" * 900_000)
    for framing in ("Content-Length: 900000", "Transfer-Encoding: chunked"):
        assert mirrored(f"{gate.origin}/api/mirror", "--data-binary", f"@{sent}", "-H", framing)["body"] == "x" * 900_000


def test_an_upstream_that_answers_as_it_reads_gets_the_rest_of_its_request(gate):
    """More than all buffers on the way hold: neither side may wait for the other."""
    body = _BIG * 16
    with socket.create_connection(("127.0.0.1", gate.port), timeout=20) as client:
        head = f"POST /api/echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        sending = threading.Thread(target=client.sendall, args=(head.encode() + body,))
        sending.start()
        answered = client.makefile("rb").read()
        sending.join()
    assert answered.startswith(b"HTTP/1.1 200 ")
    assert answered.partition(b"\r\n\r\n")[2] == body


def test_an_answer_that_does_not_wait_for_the_body_reaches_the_client(gate, tmp_path):
    sent = tmp_path / "sent"
    sent.write_bytes(b"x" * 900_000)
    for _ in range(5):
        done = run(
            ["curl", "--silent", "--max-time", "20", "--write-out", "%{http_code}", "--output", "/dev/null",
             "--limit-rate", "2M", "--data-binary", f"@{sent}", f"{gate.origin}/api/refuse"], check=False)
        # 502: the upstream's reset overtook its answer.
        assert done.stdout in (b"413", b"502"), done
    assert answer(f"{gate.origin}/api/empty")[0] == 204


def test_after_an_early_answer_the_connection_ends_with_it(gate):
    """What is left of the body must not be taken for the next request, nor read by two."""
    with socket.create_connection(("127.0.0.1", gate.port), timeout=10) as client:
        client.sendall(b"POST /api/early HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        answered = client.makefile("rb").read()
    assert answered.startswith(b"HTTP/1.1 413 ") and b"\r\nConnection: close\r\n" in answered
    assert answered.count(b"HTTP/1.1") == 1
    assert "MISUSE" not in gate.stderr


def test_head_tells_the_length_and_sends_nothing(gate):
    status, headers, body = answer(f"{gate.origin}/api/big", "--head")
    assert (status, headers["content-length"], body) == (200, str(len(_BIG)), b"")


@pytest.mark.parametrize("path, expected", [("/api/304", 304), ("/api/500", 500), ("/api/empty", 204)])
def test_a_status_is_passed_on(path, expected, gate):
    assert answer(gate.origin + path)[0] == expected


def test_a_redirect_to_the_upstream_itself_leads_through_the_gateway(gate):
    status, headers, _ = answer(f"{gate.origin}/site/redirect")
    assert (status, headers["location"]) == (302, "/site/login?next=1")


@pytest.mark.parametrize("path, status, code", [
    ("/nobody/", 502, "upstream_unreachable"), ("/nowhere/", 502, "upstream_unreachable"),
    ("/silent/", 504, "upstream_timeout"),
])
def test_what_went_wrong_is_told_apart(path, status, code, gate):
    found, _, body = answer(gate.origin + path)
    error = json.loads(body)["error"]
    assert (found, error["code"]) == (status, code)
    assert "127.0.0.1" not in error["message"] and "no-such-host" not in error["message"]


@pytest.mark.parametrize("arguments", [
    ("-X", "TRACE"), ("-X", "BREW"),
], ids=["TRACE", "an unknown method"])
def test_what_is_not_forwarded_is_501(arguments, gate, upstream):
    before = len(upstream.requests)
    assert answer(f"{gate.origin}/api/mirror", *arguments)[0] == 501
    assert len(upstream.requests) == before


@pytest.mark.parametrize("path", ["/api/../admin", "/api/%2e%2e/admin", "/api/..%2Fadmin"])
def test_no_path_climbs_out_of_its_route(path, gate, upstream):
    before = len(upstream.requests)
    assert answer(gate.origin + path, "--path-as-is")[0] == 400
    assert len(upstream.requests) == before


def test_a_token_can_be_asked_for(gateway, upstream):
    closed = gateway(PLUGINS="proxy", PROXY_ROUTES=f"/api={upstream.origin}", PROXY_REQUIRE_TOKEN="true")
    assert answer(f"{closed.origin}/api/mirror")[0] == 401
    assert mirrored(f"{closed.origin}/api/mirror", "-H", f"Authorization: Bearer {tokens.mint()}")


@pytest.fixture
def dying():
    """Answers one request with a promise of 100 000 bytes, keeps half of it, and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def once():
        client, _ = listener.accept()
        with client:
            client.recv(65536)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(50_000))

    thread = threading.Thread(target=once)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    thread.join()
    listener.close()


def test_a_body_that_was_cut_does_not_look_whole(dying, gateway):
    gate = gateway(PLUGINS="proxy", PROXY_ROUTES=f"/={dying}")
    done = run(["curl", "--silent", "--output", "/dev/null", f"{gate.origin}/x"], check=False)
    assert done.returncode in (18, 56)


def test_the_first_failure_to_read_a_setting_names_it(gateway):
    process = gateway(wait=False, PLUGINS="proxy", PROXY_ROUTES="/api=localhost:3000")
    assert process.wait(15) != 0
    assert "PROXY_ROUTES" in process.stderr and "http://127.0.0.1:3000" in process.stderr
