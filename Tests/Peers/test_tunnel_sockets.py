"""The tunnel by WebSocket: envelopes in every form, pages in Chromium, and the guide's walk with wscat."""

import base64
import contextlib
import json

import pytest
import websocket
from clients import wscat
from harness import answers, tokens
from harness.tunnel import CHAT, UNLIMITED
from harness.waiting import until
from model.behaviour import text

PONG = websocket.ABNF.OPCODE_PONG


def words(body):
    """What the lines of a streamed answer say."""
    return "".join(json.loads(line)["message"]["content"] for line in body.splitlines())


@pytest.fixture(params=["plain", "ingress"])
def way(request):
    made = request.getfixturevalue("shared_tunnel" if request.param == "plain" else "behind_ingress")
    made.forget()
    return made


@pytest.fixture(params=["/", "/ws"])
def consumer(request, way):
    with way.socket(request.param) as socket:
        yield socket


@pytest.fixture
def socket(tunnel):
    with tunnel.socket() as socket:
        yield socket


# The envelope of the guide


def test_a_request_is_answered_in_one_message(consumer, way):
    answer = consumer.ask("one", method="GET", path="/api/tags", headers={}, body=None)
    assert (answer["type"], answer["requestId"], answer["id"]) == ("response", "one", "one")
    expected = way.direct.ask("/api/tags")
    payload = answer["payload"]
    assert (payload["statusCode"], payload["body"].encode()) == (200, expected.body)
    assert payload["headers"]["content-type"] == expected.field("content-type")
    assert payload["latency"] >= 0 and isinstance(answer["timestamp"], int)


@pytest.mark.parametrize("path", ["/api/chat", "/api/ollama/api/chat", "/ollama/api/chat"])
@pytest.mark.parametrize("body", [json.dumps(CHAT), CHAT], ids=["text", "json"])
def test_a_body_may_be_text_or_json_and_paths_may_be_those_of_http(body, path, socket, tunnel):
    answer = socket.ask(method="POST", path=path, headers={"Content-Type": "application/json"}, body=body)
    assert answer["payload"]["body"].encode() == tunnel.direct.ask("/api/chat", value=CHAT).body
    seen = tunnel.model.asked("/api/chat")[0]
    assert json.dumps(CHAT, separators=(",", ":")) and seen["body_complete"]


def test_a_body_may_be_base64(socket, tunnel):
    body = base64.b64encode(json.dumps(CHAT).encode()).decode()
    answer = socket.ask(method="POST", path="/api/chat", body=body, bodyEncoding="base64")
    assert words(answer["payload"]["body"]) == text(8, 16)


def test_the_older_form_is_answered_in_kind(socket, tunnel):
    socket.say({"type": "http_request", "id": "7", "method": "GET", "path": "/api/version", "headers": {}})
    answer = socket.hear()
    assert (answer["type"], answer["id"], answer["status"]) == ("http_response", "7", 200)
    assert answer["body"].encode() == tunnel.direct.ask("/api/version").body
    assert answer["headers"]["content-type"].startswith("application/json")
    socket.say({"type": "http_request", "id": "8", "method": "POST", "path": "/api/pull", "headers": {}})
    refused = socket.hear()
    assert (refused["type"], refused["id"], refused["code"]) == ("error", "8", "AGENT_REFUSED")
    assert isinstance(refused["error"], str)


def test_times_are_written_as_the_consumer_writes_them(socket):
    socket.say({"type": "request", "requestId": "1", "timestamp": "2026-01-01T00:00:00.000Z",
                "payload": {"method": "GET", "path": "/api/version"}})
    assert socket.hear()["timestamp"].endswith("Z")


def test_a_model_hears_nothing_of_credentials_in_an_envelope(socket, tunnel):
    socket.ask(method="GET", path="/api/tags", headers={
        "Authorization": "Bearer x", "Cookie": "a=b", "Origin": "https://app.example", "X-Forwarded-For": "192.0.2.1",
        "Host": "gateway.example", "Connection": "close", "X-Own": "kept"})
    names = {name.lower(): value for name, value in tunnel.model.last("/api/tags")["headers"]}
    assert not names.keys() & {"authorization", "cookie", "origin", "x-forwarded-for"}
    assert (names["x-own"], names["host"]) == ("kept", tunnel.model.origin.removeprefix("http://"))


# Streams


def begin(socket, tunnel, place, request_id="s"):
    """Asks for a stream that hangs after `place` chunks, and returns what these said."""
    body = CHAT | {"behaviour": {"hang": place}}
    start = socket.ask(request_id, method="POST", path="/api/chat", body=body, stream=True)
    assert (start["type"], start["requestId"], start["payload"]["statusCode"]) == ("response_start", request_id, 200)
    heard = ""
    while heard.count("\n") < place:
        chunk = socket.hear()
        assert (chunk["type"], chunk["requestId"]) == ("response_chunk", request_id)
        heard += chunk["payload"]["body"]
    assert tunnel.model.last("/api/chat")["chunks"] == place
    return heard


def test_a_stream_comes_chunk_by_chunk(consumer, way):
    heard = begin(consumer, way, 3)
    assert words(heard) == text(3, 16)
    way.model.release()
    while (message := consumer.hear())["type"] == "response_chunk":
        heard += message["payload"]["body"]
    assert (message["type"], message["requestId"]) == ("response_end", "s")
    assert heard.encode() == way.direct.ask("/api/chat", value=CHAT).body


def test_answers_come_in_the_order_in_which_they_are_ready(socket, tunnel):
    begin(socket, tunnel, 1, "slow")
    assert socket.ask("quick", method="GET", path="/api/version")["requestId"] == "quick"


@pytest.mark.parametrize("key", ["requestId", "id"])
def test_cancel_reaches_the_model(key, socket, tunnel):
    begin(socket, tunnel, 2)
    socket.say({"type": "cancel", key: "s"})
    assert tunnel.model.last("/api/chat", state="gone")["chunks"] == 2
    assert socket.ask("after", method="GET", path="/api/version")["requestId"] == "after"


def test_a_socket_that_closes_cancels_what_it_asked(way):
    with way.socket() as socket:
        begin(socket, way, 2)
    assert way.model.last("/api/chat", state="gone")["chunks"] == 2


def test_an_answer_that_breaks_off_ends_with_an_error(socket, tunnel):
    tunnel.model.behave(die=2)
    start = socket.ask(method="POST", path="/api/chat", body=CHAT, stream=True)
    assert start["type"] == "response_start"
    while (message := socket.hear())["type"] == "response_chunk":
        pass
    assert (message["type"], message["requestId"], message["error"]["code"]) == ("error", "1", "TUNNEL_001")


def test_the_callers_own_time_ends_a_request(socket, tunnel):
    tunnel.model.behave(hang="head")
    answer = socket.ask(method="POST", path="/api/chat", body=CHAT, timeout=200)
    assert (answer["type"], answer["error"]["code"]) == ("error", "TUNNEL_007")
    assert "LLM_REQUEST_TIMEOUT" in answer["error"]["message"]
    tunnel.model.last("/api/chat", state="gone")


def test_an_answer_that_is_too_large_for_a_message_must_be_asked_for_as_a_stream(socket, tunnel):
    body = CHAT | {"behaviour": {"chunks": 64, "size": 65536}}
    answer = socket.ask(method="POST", path="/api/chat", body=body)
    assert (answer["type"], answer["error"]["code"]) == ("error", "TUNNEL_009")
    start = socket.ask("2", method="POST", path="/api/chat", body=body, stream=True)
    heard = []
    while (message := socket.hear())["type"] == "response_chunk":
        heard.append(message["payload"]["body"])
    assert start["type"] == "response_start" and message["type"] == "response_end"
    assert words("".join(heard)) == text(64, 65536)


# Everything else that may be said


@pytest.mark.parametrize("key", ["id", "requestId"])
def test_a_ping_gets_a_pong_message_and_a_pong_frame(key, consumer):
    consumer.say({"type": "ping", key: "p", "timestamp": 1})
    number, payload = consumer.hear_frame()
    pong = json.loads(payload)
    assert (pong["type"], pong[key]) == ("pong", "p") and pong["timestamp"] > 1
    assert consumer.hear_frame()[0] == PONG


def test_pongs_and_what_nobody_knows_are_passed_over(socket):
    for value in ({"type": "pong"}, {"type": "of a later version"}, {"type": "cancel", "requestId": "none"}):
        socket.say(value)
    assert socket.ask(method="GET", path="/api/version")["type"] == "response"


def test_close_ends_in_good_order(consumer):
    consumer.say({"type": "close"})
    assert consumer.closed() == (1000, "Normal closure")


@pytest.mark.parametrize("said", ["no json", "[]", "{}", '{"type": 1}', '{"type": "cancel"}'])
def test_what_is_no_envelope_is_answered_so(said, socket):
    socket.say(said)
    assert socket.hear() == {"type": "error", "error": "Invalid message format", "code": "TUNNEL_010"}


def test_bytes_are_no_envelope(socket):
    socket.say_bytes(b"\x00")
    assert socket.closed()[0] == 1003


@pytest.mark.parametrize("payload", [
    {"method": "GET"}, {"method": "BREW", "path": "/api/tags"}, {"path": "/api/../tags"}, {"path": "//api/tags"},
    {"path": "api/tags"}, {"path": "/api/tags", "body": "?", "bodyEncoding": "base64"},
    {"path": "/api/tags", "headers": {"X-Bad": "a\r\nb"}}, {"path": "/api/tags?a b"},
])
def test_a_request_that_cannot_be_sent_is_refused_with_its_id(payload, socket, tunnel):
    refused = socket.ask("bad", **payload)
    assert (refused["type"], refused["requestId"], refused["error"]["code"]) == ("error", "bad", "TUNNEL_010")
    assert tunnel.model.requests == []


def test_the_agent_guards_envelopes_too(socket, tunnel):
    refused = socket.ask(method="POST", path="/api/pull", body={"model": "llama3.2"})
    error = refused["error"]
    assert error["code"] == "TUNNEL_010" and "AGENT_REFUSED" in error["message"]
    assert set(error) >= {"code", "category", "message", "userMessage", "suggestion"}
    assert tunnel.model.requests == []


def test_a_user_may_have_three_sockets(tunnels):
    """MAX_CONNECTIONS_PER_USER is 3 by default."""
    limited = tunnels(**UNLIMITED)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(limited.socket())
        with pytest.raises(websocket.WebSocketBadStatusException) as refusal:
            limited.socket()
        assert refusal.value.status_code == 429
        stack.enter_context(limited.socket(token=tokens.mint(sub="other")))
    until(lambda: limited.gateway.total("gateway_tunnel_consumers") == 0, "the sockets to be gone")
    with limited.socket() as socket:
        assert socket.ask(method="GET", path="/api/version")["type"] == "response"


def test_limits_count_messages_that_ask(tunnels):
    limited = tunnels()
    with limited.socket() as socket:
        for number in range(3):
            begin(socket, limited, 1, str(number))
        refused = socket.ask("4", method="GET", path="/api/tags")
        assert (refused["type"], refused["requestId"], refused["code"]) == ("error", "4", "TUNNEL_005")
        assert (refused["error"], refused["retryAfter"]) == ("Rate limit exceeded", 1)
        assert limited.model.asked("/api/tags") == []


# Chromium


#: Reads a stream line by line and shows how far it is.
READ = """
    window.seen = [];
    const answer = await fetch("%s/api/ollama/api/chat", {
        method: "POST", signal: window.leaving?.signal,
        headers: {"Authorization": "Bearer %s", "Content-Type": "application/json"},
        body: JSON.stringify({model: "llama3.2", messages: [{role: "user", content: "Why?"}]})});
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let unread = "";
    for (;;) {
        const {value, done} = await reader.read();
        if (done) break;
        const lines = (unread + value).split("\\n");
        unread = lines.pop();
        for (const line of lines) window.seen.push(JSON.parse(line).message.content);
    }
    return window.seen.join("");
"""

#: Sends one envelope and shows what comes.
ASK = """
    window.heard = [];
    const socket = new WebSocket("%s/ws?token=%s");
    await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
    const over = new Promise((resolve) => {
        socket.onmessage = (event) => {
            const message = JSON.parse(event.data);
            window.heard.push(message);
            if (message.type === "response_end") resolve();
        };
    });
    socket.send(JSON.stringify({type: "request", requestId: "1", payload: {
        method: "POST", path: "/api/chat", stream: true, body: {
            model: "llama3.2", messages: [{role: "user", content: "Why?"}]}}}));
    await over;
    socket.close();
    return window.heard.filter((message) => message.type === "response_chunk").map((message) => message.payload.body)
        .join("");
"""


@pytest.fixture(scope="module")
def site():
    """The pages of another origin than the gateway's."""
    server = answers.Server({"/": answers.reply(b"<!doctype html><title>page</title>", content_type="text/html")})
    yield server.origin
    server.stop()


@pytest.fixture(scope="module")
def for_pages(shared_tunnels, site):
    return shared_tunnels(ALLOWED_ORIGINS=site)


@pytest.fixture
def page(browser, site, for_pages):
    for_pages.forget()
    with browser.open(site + "/") as page:
        yield page


def test_a_page_of_an_allowed_origin_sees_each_chunk_when_it_comes(page, for_pages):
    for_pages.model.behave(hang=3)
    page.start("reading", READ % (for_pages.origin, for_pages.token))
    until(lambda: page.run("return window.seen?.length") == 3, "three chunks in the page")
    assert for_pages.model.last("/api/chat")["chunks"] == 3
    for_pages.model.release()
    assert page.finish("reading") == text(8, 16)
    # The preflight went no further than the gateway.
    assert [each["method"] for each in for_pages.model.requests] == ["POST"]


def test_a_page_that_breaks_off_is_gone_at_the_model(page, for_pages):
    for_pages.model.behave(hang=2)
    page.run("window.leaving = new AbortController();")
    page.start("reading", READ % (for_pages.origin, for_pages.token))
    until(lambda: page.run("return window.seen?.length") == 2, "two chunks in the page")
    page.run("window.leaving.abort();")
    assert for_pages.model.last("/api/chat", state="gone")["chunks"] == 2


def test_a_page_may_read_why_it_was_refused_and_when_to_come_back(page, for_pages):
    refused = page.run(f"""
        const answer = await fetch("{for_pages.origin}/api/ollama/api/tags", {{
            headers: {{"Authorization": "Bearer {for_pages.token}", "X-Tunnel-Agent": "nobody"}}}});
        return [answer.status, answer.headers.get("Retry-After"), (await answer.json()).error.tunnelCode];
    """)
    assert refused == [503, "5", "TUNNEL_004"]


def test_a_page_asks_by_socket(page, for_pages):
    for_pages.model.behave(hang=3)
    page.start("asking", ASK % (for_pages.gateway.websocket_origin, for_pages.token))
    until(lambda: page.run("return window.heard?.length") >= 2, "the first chunks in the page")
    assert for_pages.model.last("/api/chat")["chunks"] == 3
    for_pages.model.release()
    assert words(page.finish("asking")) == text(8, 16)


def test_a_page_of_another_origin_reads_nothing(browser, site, for_pages):
    for_pages.forget()
    with browser.open(site.replace("127.0.0.1", "page.localhost") + "/") as page:
        refused = page.run(f"""
            try {{
                await fetch("{for_pages.origin}/api/ollama/api/tags", {{
                    headers: {{"Authorization": "Bearer {for_pages.token}"}}}});
                return null;
            }} catch (error) {{ return error.name; }}
        """)
        opened = page.run(f"""
            const socket = new WebSocket("{for_pages.gateway.websocket_origin}/ws?token={for_pages.token}");
            return await new Promise((resolve) => {{
                socket.onopen = () => resolve(true); socket.onerror = () => resolve(false);
            }});
        """)
    assert (refused, opened) == ("TypeError", False)
    assert for_pages.model.requests == []


# The guide's walk


def walk(tunnel, path="/ws", token=None):
    """wscat, as the guide calls it."""
    return wscat.Session(tunnel.socket_url(path, token), tunnel.authority)


@pytest.mark.parametrize("path", ["", "/", "/ws"])
def test_the_guides_walk_with_wscat(path, way):
    with walk(way, path) as client:
        client.connected()
        client.say({"type": "ping", "id": "p", "timestamp": 1})
        assert client.hear()["type"] == "pong"
        client.pong()
        client.say({"type": "request", "requestId": "1", "payload": {"method": "GET", "path": "/api/version"}})
        answer = client.hear()
        assert (answer["requestId"], answer["payload"]["statusCode"]) == ("1", 200)
        assert answer["payload"]["body"].encode() == way.direct.ask("/api/version").body
        assert client.close() == (1000, "")


def test_without_an_agent_wscat_is_told_so(tunnels):
    alone = tunnels(agent=None, TUNNEL_RESUME_GRACE=0)
    with walk(alone) as client:
        client.connected()
        client.say({"type": "request", "requestId": "1", "payload": {"method": "GET", "path": "/api/tags"}})
        error = client.hear()["error"]
        assert (error["code"], error["userMessage"]) == ("TUNNEL_004", "Desktop client not connected")
        assert error["retryAfter"] == 5


@pytest.mark.parametrize("token", ["nonsense", tokens.mint(lifetime=-3600)], ids=["bad", "expired"])
@pytest.mark.parametrize("path", ["/", "/ws"])
def test_without_a_good_token_wscat_is_refused(path, token, tunnel):
    with walk(tunnel, path, token) as client:
        assert client.refused() == 401


def test_over_the_limit_wscat_is_told_how_long_to_wait(tunnels):
    limited = tunnels(RATE_LIMIT_REQUESTS_PER_MINUTE=2)
    question = {"type": "request", "payload": {"method": "GET", "path": "/api/version"}}
    with walk(limited) as client:
        client.connected()
        for number in range(2):
            client.say(question | {"requestId": str(number)})
            assert client.hear()["type"] == "response"
        client.say(question | {"requestId": "3"})
        refused = client.hear()
        assert (refused["type"], refused["error"], refused["requestId"]) == ("error", "Rate limit exceeded", "3")
        # One comes back every 30 s; by HTTP the same user is told the same, if a second later.
        answer = limited.ask("/api/version")
        assert answer.status == 429
        assert 0 <= refused["retryAfter"] - int(answer.field("retry-after")) <= 15 and refused["retryAfter"] <= 30
        assert len(limited.model.requests) == 2


def test_a_message_that_is_too_large_ends_wscats_socket(tunnels):
    small = tunnels(agent=None, MAX_FRAME_SIZE=1024)
    with walk(small) as client:
        client.connected()
        client.say({"type": "request", "payload": {"method": "POST", "path": "/api/chat", "body": "x" * 1200}})
        assert client.closed()[0] == 1009
