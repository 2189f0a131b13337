"""Several upstreams behind one path of the proxy plugin: sharing, trying again, leaving alone."""

import contextlib
import json
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import answers, nginx
from harness.processes import free_port, run
from harness.waiting import until

class Named:
    """Answers its name, and what a test tells it to."""

    def __init__(self, name):
        self.status = 200
        self.gate = None

        def answer(handler):
            handler.read_body()
            if self.gate:
                self.gate.wait(15)
            answers.respond(handler, name.encode(), self.status)

        self.server = answers.Server({"/": answer, "/x": answer, "/api/x": answer, "/v2/x": answer})
        self.origin = self.server.origin

    @property
    def count(self):
        return len(self.server.requests)

    def stop(self):
        self.server.stop()


@pytest.fixture
def pair():
    servers = [Named("first"), Named("second")]
    yield servers
    for server in servers:
        server.stop()


class HangsUp:
    """Takes a request and closes the connection without a word, or after a part of an answer's head."""

    def __init__(self, words=b""):
        self.heard = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

        def serve():
            while True:
                try:
                    client, _ = self.listener.accept()
                except OSError:
                    return
                with client, contextlib.suppress(OSError):
                    self.heard.append(client.recv(65536))
                    client.sendall(words)

        self.thread = threading.Thread(target=serve)
        self.thread.start()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def hangs_up():
    server = HangsUp()
    yield server
    server.stop()


def nobody():
    return f"http://127.0.0.1:{free_port()}"


def ask(gate, path="/x", *arguments):
    done = run(["curl", "--silent", "--max-time", "20", "--write-out", "\n%{http_code}", *arguments, gate.origin + path])
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body


# Choosing


def test_a_host_chooses_among_routes(gateway, pair):
    first, second = pair
    gate = gateway(
        PLUGINS="proxy",
        PROXY_ROUTES=f"/api={first.origin},api.example/={second.origin},v2.example/v2={second.origin}")
    assert ask(gate, "/api/x")[1] == b"first"
    assert ask(gate, "/api/x", "-H", "Host: API.example:8443")[1] == b"second"
    assert ask(gate, "/v2/x", "-H", "Host: v2.example")[1] == b"second"
    assert ask(gate, "/v2/x")[0] == 404
    assert ask(gate, "/x")[0] == 404


def test_requests_under_way_are_spread(gateway, pair):
    gate = gateway(PLUGINS="proxy", PROXY_ROUTES=f"/={pair[0].origin}|{pair[1].origin}")
    for server in pair:
        server.gate = threading.Event()
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(ask, gate) for _ in range(20)]
        until(lambda: sum(server.count for server in pair) == 20, "all requests to arrive")
        assert [server.count for server in pair] == [10, 10]
        # One that is stuck gets no more than the other one, however long it takes.
        pair[0].gate.set()
        until(lambda: sum(one.done() for one in asked) == 10, "the first to answer its own")
        for _ in range(5):
            assert ask(gate) == (200, b"first")
        pair[1].gate.set()
        assert sorted(one.result()[1] for one in asked) == [b"first"] * 10 + [b"second"] * 10


def test_nginx_behind_it_keeps_its_connections(gateway, tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    (files / "page.html").write_text("page" * 5000)
    server = nginx.origin(tmp_path / "nginx", files)
    try:
        gate = gateway(PLUGINS="proxy", PROXY_ROUTES=f"/={server.origin}", LOOPS=1)
        urls = [f"{gate.origin}/page.html"] * 50
        done = run(["curl", "--silent", *urls])
        assert done.stdout == b"page" * 5000 * 50
        assert gate.total("gateway_upstream_connections_opened_total") == 1
        done = run(["curl", "--silent", "--range", "4-7", urls[0]])
        assert done.stdout == b"page"
    finally:
        server.stop()


# Trying again


def test_an_upstream_that_refuses_connections_costs_no_request(gateway, pair):
    gate = gateway(PLUGINS="proxy", PROXY_ROUTES=f"/={nobody()}|{pair[0].origin}", PROXY_EJECT_AFTER=0)
    for number in range(10):
        # Nothing was sent, so a POST and its body may go elsewhere too.
        body = ["--data-binary", "x" * 100_000] if number % 2 else []
        assert ask(gate, "/x", *body) == (200, b"first")
    assert 0 < gate.total("gateway_proxy_retries_total") <= 10
    assert gate.total("gateway_proxy_failures_total", code="upstream_unreachable") == gate.total(
        "gateway_proxy_retries_total")


def test_one_that_hangs_up_costs_no_get_and_no_post_is_sent_twice(gateway, pair, hangs_up):
    gate = gateway(
        PLUGINS="proxy", PROXY_ROUTES=f"/={hangs_up.origin}|{pair[0].origin}", PROXY_EJECT_AFTER=0,
        CIRCUIT_BREAKER_FAILURES=0)
    assert {ask(gate) for _ in range(12)} == {(200, b"first")}
    assert hangs_up.heard
    before = (pair[0].count, len(hangs_up.heard))
    codes = [ask(gate, "/x", "--data", "once")[0] for _ in range(20)]
    posts = (pair[0].count - before[0], len(hangs_up.heard) - before[1])
    assert set(codes) == {200, 502} and (codes.count(200), codes.count(502)) == posts


@pytest.mark.parametrize("words", [b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 100 Continue\r\n\r\n", b"nonsense\r\n\r\n"])
def test_what_has_begun_to_answer_is_not_asked_elsewhere(words, gateway, pair):
    server = HangsUp(words)
    try:
        gate = gateway(
            PLUGINS="proxy", PROXY_ROUTES=f"/={server.origin}|{pair[0].origin}", PROXY_EJECT_AFTER=0,
            CIRCUIT_BREAKER_FAILURES=0)
        found = {ask(gate)[0] for _ in range(20)}
        assert found == {200, 502}
        assert gate.total("gateway_proxy_retries_total") == 0
    finally:
        server.stop()


def test_no_retries_when_told_so(gateway, pair):
    gate = gateway(
        PLUGINS="proxy", PROXY_ROUTES=f"/={nobody()}|{pair[0].origin}", PROXY_RETRIES=0, PROXY_EJECT_AFTER=0,
        CIRCUIT_BREAKER_FAILURES=0)
    assert {ask(gate)[0] for _ in range(20)} == {200, 502}


def test_retries_stay_within_their_budget(gateway):
    """Everybody fails: a fifth more requests, and the reserve, is all that it costs."""
    gate = gateway(
        PLUGINS="proxy", PROXY_ROUTES=f"/={nobody()}|{nobody()}", PROXY_EJECT_AFTER=0, CIRCUIT_BREAKER_FAILURES=0)
    for _ in range(10):
        done = run(["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", gate.origin + "/[1-20]"])
        assert done.stdout == b"502" * 20
    retries = gate.total("gateway_proxy_retries_total")
    assert 40 <= retries <= 10 + 200 * 0.2
    assert gate.total("gateway_proxy_retries_refused_total") == 200 - retries


# Leaving alone


def ejected(gate):
    return gate.total("gateway_proxy_upstream_ejected")


@pytest.mark.parametrize("status", [502, 503, 504])
def test_one_that_fails_is_left_alone(status, gateway, pair):
    first, second = pair
    gate = gateway(PLUGINS="proxy", PROXY_ROUTES=f"/={first.origin}|{second.origin}", PROXY_EJECT_AFTER=3)
    first.status = status
    codes = [ask(gate)[0] for _ in range(30)]
    assert codes.count(status) == first.count == 3
    assert ejected(gate) == gate.total("gateway_proxy_ejections_total", upstream=first.origin) == 1
    detail = json.loads(gate.get("/readyz", ops=True)[2])
    check = next(check for check in detail["checks"] if check["plugin"] == "proxy")
    assert (check["status"], check["reason"]) == ("degraded", "upstreams fail: /: 1 of 2")
    assert gate.status("/readyz") == 200


def test_one_that_was_left_alone_is_tried_and_comes_back(gateway, pair):
    first, second = pair
    gate = gateway(
        PLUGINS="proxy", PROXY_ROUTES=f"/={first.origin}|{second.origin}", PROXY_EJECT_AFTER=1, PROXY_EJECT_TIME="500ms")
    first.status = 503
    until(lambda: ask(gate)[0] == 503, "the failure")
    # It fails its trial, which costs one request, and passes the next.
    until(lambda: ask(gate)[0] == 503, "the trial")
    assert (first.count, gate.total("gateway_proxy_ejections_total")) == (2, 2)
    first.status = 200
    until(lambda: ask(gate) and ejected(gate) == 0, "the end of the second ejection")
    assert {ask(gate)[1] for _ in range(20)} == {b"first", b"second"}


def test_refused_connections_eject_too(gateway, pair):
    dead = nobody()
    gate = gateway(PLUGINS="proxy", PROXY_ROUTES=f"/={dead}|{pair[0].origin}", PROXY_EJECT_AFTER=2)
    assert {ask(gate) for _ in range(20)} == {(200, b"first")}
    assert gate.total("gateway_proxy_upstream_requests_total", upstream=dead) == 2
    assert gate.total("gateway_proxy_upstream_ejected", upstream=dead, route="/") == 1


def test_at_most_half_are_left_alone(gateway, pair):
    for server in pair:
        server.status = 503
    settings = {"PLUGINS": "proxy", "PROXY_EJECT_AFTER": 2, "CIRCUIT_BREAKER_FAILURES": 0}
    gate = gateway(PROXY_ROUTES=f"/={pair[0].origin}|{pair[1].origin}", **settings)
    assert {ask(gate)[0] for _ in range(20)} == {503}
    assert ejected(gate) == 1
    alone = gateway(PROXY_ROUTES=f"/={pair[0].origin}", **settings)
    assert {ask(alone)[0] for _ in range(20)} == {503}
    assert ejected(alone) == 0


def test_other_failures_of_a_request_do_not_eject(gateway, pair):
    for server in pair:
        server.status = 500
    gate = gateway(PLUGINS="proxy", PROXY_ROUTES=f"/={pair[0].origin}|{pair[1].origin}", PROXY_EJECT_AFTER=1)
    assert {ask(gate)[0] for _ in range(10)} == {500}
    assert ejected(gate) == 0


# Refusing at once


def breaker(gate, name="circuit_breaker_state", **labels):
    return gate.total(name, service="proxy:/", **labels)


def code(body):
    return json.loads(body)["error"]["code"]


def test_a_service_that_died_is_not_asked_any_more_and_comes_back(gateway):
    """Requests find out that it ended, later ones are answered at once, and some find it running again."""
    port = free_port()

    def alive(handler):
        answers.respond(handler, b"alive", connection="close")

    server = answers.Server({"/x": alive}, port=port)
    gate = gateway(PLUGINS="proxy", PROXY_ROUTES=f"/=http://127.0.0.1:{port}", CIRCUIT_BREAKER_OPEN_TIME="2s")
    assert ask(gate) == (200, b"alive") and breaker(gate) == 0
    server.stop()
    assert [ask(gate)[0] for _ in range(5)] == [502] * 5
    asked = gate.total("gateway_proxy_upstream_requests_total")
    status, headers, body = gate.get("/x")
    assert (status, code(body)) == (503, "circuit_open") and headers["Retry-After"] in ("1", "2")
    assert "127.0.0.1" not in body.decode()
    assert gate.total("gateway_proxy_upstream_requests_total") == asked
    assert breaker(gate, "circuit_breaker_transitions_total", to="open") == 1
    assert gate.total("gateway_proxy_failures_total", code="circuit_open") >= 1
    until(lambda: ask(gate) and breaker(gate, "circuit_breaker_transitions_total", to="open") == 2, "a try to fail")
    server = answers.Server({"/x": alive}, port=port)
    try:
        until(lambda: ask(gate) == (200, b"alive") and breaker(gate) == 0, "the breaker to close")
        assert [ask(gate) for _ in range(10)] == [(200, b"alive")] * 10
        assert breaker(gate, "circuit_breaker_transitions_total", to="closed") == 1
    finally:
        server.stop()


def test_one_request_tries_while_the_others_are_refused(gateway, pair):
    gate = gateway(
        PLUGINS="proxy", PROXY_ROUTES=f"/={pair[0].origin}", LOOPS=2, CIRCUIT_BREAKER_FAILURES=2,
        CIRCUIT_BREAKER_OPEN_TIME="50ms", CIRCUIT_BREAKER_SUCCESSES=1)
    pair[0].status = 503
    assert [ask(gate)[0] for _ in range(2)] == [503, 503]
    pair[0].status, pair[0].gate = 200, threading.Event()
    until(lambda: breaker(gate) == 2, "the time to pass")
    before = pair[0].count
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(ask, gate) for _ in range(20)]
        until(lambda: sum(one.done() for one in asked) == 19, "all but one to be refused")
        assert pair[0].count == before + 1
        pair[0].gate.set()
        found = [one.result() for one in asked]
    assert sorted(status for status, _ in found) == [200] + [503] * 19
    assert all(code(body) == "circuit_open" for status, body in found if status == 503)
    assert breaker(gate) == 0


def test_who_leaves_while_trying_leaves_room_for_another(gateway, pair):
    gate = gateway(
        PLUGINS="proxy", PROXY_ROUTES=f"/={pair[0].origin}", CIRCUIT_BREAKER_FAILURES=1,
        CIRCUIT_BREAKER_OPEN_TIME="50ms", CIRCUIT_BREAKER_SUCCESSES=1)
    pair[0].status = 503
    assert ask(gate)[0] == 503
    pair[0].status, pair[0].gate = 200, threading.Event()
    until(lambda: breaker(gate) == 2, "the time to pass")
    stuck, before = pair[0].gate, pair[0].count
    with socket.create_connection(("127.0.0.1", gate.port)) as client:
        client.sendall(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
        until(lambda: pair[0].count == before + 1, "the try to arrive")
        pair[0].gate = None
        assert ask(gate)[0] == 503
    until(lambda: ask(gate) == (200, b"first"), "another try")
    # Nor was it a failure.
    assert breaker(gate) == 0 and breaker(gate, "circuit_breaker_transitions_total", to="open") == 1
    stuck.set()


def test_answers_that_blame_the_request_are_no_failures(gateway, pair):
    gate = gateway(PLUGINS="proxy", PROXY_ROUTES=f"/={pair[0].origin}", CIRCUIT_BREAKER_FAILURES=2)
    for status in (400, 404, 429, 500):
        pair[0].status = status
        assert {ask(gate)[0] for _ in range(4)} == {status}
    assert breaker(gate) == 0


def test_one_bad_upstream_of_two_is_left_alone_and_the_service_is_not_refused(gateway, pair):
    dead = nobody()
    gate = gateway(
        PLUGINS="proxy", PROXY_ROUTES=f"/={dead}|{pair[0].origin}", PROXY_EJECT_AFTER=3, CIRCUIT_BREAKER_FAILURES=3)
    assert {ask(gate) for _ in range(30)} == {(200, b"first")}
    assert ejected(gate) == 1
    assert breaker(gate) == breaker(gate, "circuit_breaker_transitions_total", to="open") == 0


def test_sockets_to_a_service_that_is_down_are_refused_at_once_too(gateway):
    gate = gateway(PLUGINS="proxy", PROXY_ROUTES=f"/={nobody()}", CIRCUIT_BREAKER_FAILURES=1)
    handshake = [
        "-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13",
        "-H", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
    assert ask(gate, "/x", *handshake)[0] == 502
    status, body = ask(gate, "/x", *handshake)
    assert (status, code(body)) == (503, "circuit_open")


def test_what_is_known_of_a_service_outlives_a_change_of_settings(gateway, tmp_path):
    file = tmp_path / "settings"
    fixed = f"PROXY_ROUTES=/={nobody()}\n"

    def change(text, generation):
        file.write_text(fixed + text)
        gate.popen.send_signal(signal.SIGHUP)
        until(lambda: gate.total("gateway_settings_generation") == generation, "the reload")

    file.write_text(fixed + "CIRCUIT_BREAKER_FAILURES=1\n")
    gate = gateway(PLUGINS="proxy", GATEWAY_ENV_FILE=file)
    assert [ask(gate)[0] for _ in range(2)] == [502, 503]
    # The plugin is made anew, and its breaker is the same.
    change("CIRCUIT_BREAKER_FAILURES=1\nPROXY_RETRIES=0\n", 2)
    assert ask(gate)[0] == 503 and breaker(gate) == 1
    # Switched off, it lets everybody in again.
    change("CIRCUIT_BREAKER_FAILURES=0\nPROXY_RETRIES=0\n", 3)
    assert [ask(gate)[0] for _ in range(9)] == [502] * 9


# What a client is told


def test_too_many_at_once_is_503_with_a_time_to_come_back(gateway, pair):
    pair[0].gate = threading.Event()
    gate = gateway(
        PLUGINS="proxy", PROXY_ROUTES=f"/={pair[0].origin}", LOOPS=1, UPSTREAM_ORIGIN_CONNECTIONS=1, UPSTREAM_MAX_WAITING=0)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(ask, gate)
        until(lambda: pair[0].count == 1, "the first request to arrive")
        status, headers, body = gate.get("/x")
        assert (status, headers["Retry-After"], json.loads(body)["error"]["code"]) == (503, "1", "upstream_busy")
        pair[0].gate.set()
        assert held.result() == (200, b"first")


@pytest.mark.parametrize("routes, words", [
    ("/a=http://h,/b=http://h,/a=http://g", "route 3 is for /a, as route 1 is"),
    ("api.example=http://h", "api.example.com/="),
    ("/a=http://h|", "route 1 is not to an http or https URL"),
])
def test_routes_that_make_no_sense_stop_the_start_with_a_remedy(routes, words, gateway):
    process = gateway(wait=False, PLUGINS="proxy", PROXY_ROUTES=routes)
    assert process.wait(15) != 0
    assert "PROXY_ROUTES" in process.stderr and words in process.stderr
