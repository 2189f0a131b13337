"""The tunnel end to end: a model, `gateway agent`, the gateway and consumers; bytes, streams, and what never passes."""

import base64
import concurrent.futures
import hashlib
import json
import socket

import pytest
from harness import answers, openai_client, tokens
from harness.model import Model
from harness.tunnel import CHAT, UNLIMITED, USER, Consumer, agent_token
from harness.waiting import until
from model import ollama
from model.behaviour import text

MIB = 1 << 20

#: Every way for a consumer to the model's paths.
PREFIXES = ["/api/ollama", "/ollama", f"/api/direct-proxy/{USER}/ollama", "/api/tunnel/agents/desk/ollama"]

#: What a consumer asks; the model answers it the same every time.
QUESTIONS = {
    "root": ("/", None),
    "tags": ("/api/tags", None),
    "query": ("/api/version?a=1&b=%20c", None),
    "show": ("/api/show", {"model": "llama3.2"}),
    "chat": ("/api/chat", CHAT),
    "whole": ("/api/generate", {"model": "llama3.2", "prompt": "Why?", "stream": False}),
    "embed": ("/api/embed", {"model": "all-minilm", "input": ["a", "b"]}),
    "events": ("/v1/chat/completions", CHAT | {"stream": True, "stream_options": {"include_usage": True}}),
    "models": ("/v1/models/llama3.2", None),
    "unknown model": ("/api/chat", CHAT | {"model": "nobody"}),
    "no body": ("/v1/completions", {}),
}


@pytest.fixture(params=["plain", "ingress"])
def way(request):
    made = request.getfixturevalue("tunnel" if request.param == "plain" else "behind_ingress")
    made.forget()
    return made


def fields_of(entry):
    """The fields that the model saw, by lower-case names."""
    return {name.lower(): value for name, value in entry["headers"]}


def upload(tunnel, length):
    """A socket that has said that so many bytes come."""
    host, _, port = tunnel.gateway.origin.removeprefix("http://").partition(":")
    sending = socket.create_connection((host, int(port)), timeout=30)
    sending.sendall(
        f"POST /api/ollama/api/chat HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {tunnel.token}\r\n"
        f"Content-Length: {length}\r\n\r\n".encode())
    return sending


# Answers


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_is_the_models_own_byte_for_byte(question, way):
    path, value = QUESTIONS[question]
    expected = way.direct.ask(path, value=value)
    way.model.forget()
    for prefix in PREFIXES:
        answer = way.consumer.ask(prefix + path, value=value)
        assert (answer.code, answer.status, answer.body) == (0, expected.status, expected.body), prefix
        for name in ("content-type", "content-length"):
            assert answer.field(name) == expected.field(name), prefix
    assert [each["target"] for each in way.model.requests] == [path] * len(PREFIXES)


def test_openais_client_takes_the_gateway_for_the_model_with_a_token_as_its_key(way, authority):
    """What a user writes: base_url="https://gateway.example/api/ollama/v1", api_key=the token."""
    walked = openai_client.walk(
        f"{way.origin}/api/ollama/v1", api_key=way.token, authority=authority.certificate, chunks=5)
    spoken = [text(1, 16, number) for number in range(5)]
    assert walked == {
        "models": list(ollama.MODELS), "model": "llama3.2:latest", "streamed": [*spoken, ""], "streamed_usage": 5,
        "streamed_reason": "stop", "whole": text(5, 16), "completed": [*spoken, ""],
        "embedded": [ollama.vector("one"), ollama.vector("two")],
        "refusal": ["NotFoundError", 404, "model 'no-such-model' not found"],
    }


def test_the_plugin_runs_by_itself_where_nothing_is_said_of_plugins(tunnels):
    assert tunnels(PLUGINS=None).ask("/api/version").json == {"version": ollama.VERSION}


@pytest.mark.parametrize("path", ["/api/tags", "/api/version", "/"])
def test_head_has_the_fields_of_get_and_no_body(path, way):
    answer, expected = way.ask(path, "--head"), way.direct.ask(path, "--head")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.field("content-length") == expected.field("content-length") is not None
    assert way.model.last(path)["method"] == "HEAD"


def test_an_answer_without_content_stays_one(way):
    way.model.behave(status=204)
    answer = way.ask("/api/tags")
    assert (answer.code, answer.status, answer.body) == (0, 204, b"")
    assert answer.field("content-length") is answer.field("transfer-encoding") is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503])
def test_the_models_refusals_are_passed_on(status, tunnel):
    tunnel.model.behave(path="/api/chat", status=status)
    expected = tunnel.direct.ask("/api/chat", value=CHAT)
    answer = tunnel.ask("/api/chat", value=CHAT)
    assert (answer.status, answer.body) == (status, expected.body)
    # One that succeeds, so that the circuit breaker does not see failures in a row.
    assert tunnel.ask("/api/tags").status == 200


def test_64_mebibytes_arrive_as_they_were(way):
    asked = CHAT | {"behaviour": {"chunks": 1024, "size": 65536}}
    answer = way.ask("/api/chat", value=asked)
    assert answer.code == 0 and len(answer.body) > 64 * MIB
    said = hashlib.sha256()
    for line in answer.lines:
        said.update(line["message"]["content"].encode())
    assert said.hexdigest() == hashlib.sha256(text(1024, 65536).encode()).hexdigest()


@pytest.mark.parametrize("framing", [[], ["--header", "Transfer-Encoding: chunked"]], ids=["length", "chunked"])
def test_a_large_request_arrives_as_it_was(framing, tunnel, tmp_path):
    """9 MiB, below TUNNEL_MAX_BODY, and more than may be under way at once."""
    body = json.dumps(CHAT | {"padding": text(9, MIB)}).encode()
    (tmp_path / "body").write_bytes(body)
    answer = tunnel.ask("/api/chat", "--data-binary", f"@{tmp_path}/body", *framing)
    assert answer.body == tunnel.direct.ask("/api/chat", value=CHAT).body
    seen = tunnel.model.asked("/api/chat")[0]
    assert seen["body_sha256"] == hashlib.sha256(body).hexdigest()
    assert fields_of(seen).get("content-length") == (None if framing else str(len(body)))


def test_an_answer_may_come_before_the_request_has_been_read(tunnel, tmp_path):
    (tmp_path / "body").write_bytes(bytes(9 * MIB))
    tunnel.model.behave(path="/api/chat", status=401, early=True)
    answer = tunnel.ask("/api/chat", "--data-binary", f"@{tmp_path}/body")
    assert (answer.status, answer.error) == (401, "the stand-in was told to refuse")
    assert not tunnel.model.last("/api/chat")["body_complete"]


def test_what_the_model_server_says_of_itself_stays_with_the_agent(tunnel):
    """Cookies above all: the gateway's origin is not the model server's."""
    body = bytes(range(256)) * 400
    server = answers.Server({"/v1/bytes": answers.reply(
        body, content_type="application/octet-stream", set_cookie="a=b", x_powered_by="model", x_own="kept",
        access_control_allow_origin="*", alt_svc="h3=\":443\"")})
    agent = tunnel.start_agent("bytes", local=server.origin)
    try:
        answer = tunnel.ask("/v1/bytes", "--header", "X-Tunnel-Agent: bytes")
        with tunnel.socket() as consumer:
            message = consumer.ask(method="GET", path="/v1/bytes", agent="bytes")["payload"]
    finally:
        agent.stop()
        server.stop()
    assert (answer.status, answer.body) == (200, body)
    assert (answer.field("x-own"), answer.field("content-type")) == ("kept", "application/octet-stream")
    assert (message["bodyEncoding"], base64.b64decode(message["body"])) == ("base64", body)
    for fields in (answer.fields, message["headers"]):
        assert not {"set-cookie", "x-powered-by", "alt-svc"} & fields.keys()
        assert "Python" not in str(fields.get("server"))
    # Its own, by ALLOWED_ORIGINS, once.
    assert answer.fields["access-control-allow-origin"] == ["*"]


# Chunk by chunk


@pytest.mark.parametrize("path, words", [
    ("/api/chat", lambda line: json.loads(line)["message"]["content"]),
    ("/v1/chat/completions", lambda line: json.loads(line.removeprefix(b"data: "))["choices"][0]["delta"]["content"]),
], ids=["lines", "events"])
@pytest.mark.parametrize("place", [1, 4, 8])
def test_a_consumer_has_each_chunk_before_the_model_says_the_next(place, path, words, way):
    """The model writes no more until it is released: what the consumer reads was kept back by nobody."""
    with way.read(path, CHAT | {"stream": True, "behaviour": {"hang": place}}) as reader:
        assert [words(reader.line()) for _ in range(place)] == [text(1, 16, number) for number in range(place)]
        assert way.model.last(path)["chunks"] == place
        way.model.release()
        lines, code = reader.rest()
    assert code == 0
    assert "".join(words(line) for line in lines[:8 - place]) == text(8 - place, 16, place)


def test_one_that_reads_nothing_is_in_nobodys_way(tunnel):
    """One of ten, as many as an agent serves at once, leaves its 64 MiB where they are."""
    host, _, port = tunnel.gateway.origin.removeprefix("http://").partition(":")
    asked = json.dumps(CHAT | {"behaviour": {"chunks": 1024, "size": 65536}}).encode()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        slow.settimeout(30)
        slow.connect((host, int(port)))
        head = f"POST /api/ollama/api/chat HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {tunnel.token}\r\n"
        slow.sendall(f"{head}Connection: close\r\nContent-Length: {len(asked)}\r\n\r\n".encode() + asked)
        tunnel.model.last_with_chunks("/api/chat", 1)
        with concurrent.futures.ThreadPoolExecutor(9) as pool:
            other = {"model": "llama3.2", "prompt": "Why?", "behaviour": {"chunks": 64, "size": 65536}}
            others = list(pool.map(lambda _: tunnel.ask("/api/generate", value=other), range(9)))
        expected = tunnel.direct.ask("/api/generate", value=other).body
        assert all((answer.code, answer.body) == (0, expected) for answer in others)
        # What lies between is bounded: two sockets' buffers, the stream's window, and the agent's.
        assert tunnel.model.last("/api/chat", state="answering")["chunks"] < 512
        received = bytearray()
        while block := slow.recv(MIB):
            received += block
    assert received.startswith(b"HTTP/1.1 200") and received.endswith(b"0\r\n\r\n") and len(received) > 64 * MIB


def test_a_model_that_reads_slowly_slows_the_one_who_sends_and_nobody_else(tunnels):
    """What it has not read stays with the consumer: nothing on the way keeps a body."""
    wide = tunnels(**UNLIMITED, TUNNEL_MAX_BODY=1 << 30, HTTP_MAX_BODY=1 << 30)
    wide.model.behave(path="/api/chat", reading=3600)
    with upload(wide, 1 << 30) as sending:
        sending.settimeout(1)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 1 << 30:
                sent += sending.send(bytes(MIB))
        assert sent < 128 * MIB
        asked = {"model": "llama3.2", "prompt": "Why?", "padding": "x" * 4 * MIB}
        assert wide.ask("/api/generate", value=asked).status == 200
        assert wide.model.last("/api/chat", state="reading")["body_bytes"] <= 65536
    wide.model.last("/api/chat", body_complete=False)


# A consumer that leaves


@pytest.mark.parametrize("place", ["head", 0, 3])
def test_a_consumer_that_leaves_is_gone_at_the_model_before_the_next_chunk(place, way):
    with way.read("/api/chat", CHAT | {"behaviour": {"hang": place}}) as reader:
        for _ in range(place or 0 if place != "head" else 0):
            reader.line()
        way.model.last("/api/chat", state="answering", status=None if place == "head" else 200)
    assert way.model.last("/api/chat", state="gone")["chunks"] == (0 if place == "head" else place)


def test_a_consumer_that_leaves_while_chunks_flow_is_gone_at_the_model(way):
    with way.read("/api/chat", CHAT | {"behaviour": {"chunks": 100_000, "pace": 0.01}}) as reader:
        reader.line()
        reader.leave()
        then = way.model.last("/api/chat")["chunks"]
    # A hundred of these take the model a second.
    assert way.model.last("/api/chat", state="gone")["chunks"] < then + 100


def test_a_consumer_that_leaves_within_its_request_is_gone_at_the_model(tunnel):
    with upload(tunnel, MIB) as sending:
        sending.sendall(bytes(MIB // 2))
        until(lambda: (tunnel.model.asked("/api/chat") or [{"body_bytes": 0}])[-1]["body_bytes"], "some of the body")
    assert not tunnel.model.last("/api/chat", state="gone")["body_complete"]


# Who the consumer is stays here


def test_the_model_hears_of_the_question_and_nothing_of_who_asks(way):
    secret = {
        "Origin": "https://app.example", "Referer": "https://app.example/chat", "Cookie": "session=1",
        "Forwarded": "for=192.0.2.1", "X-Forwarded-For": "192.0.2.1", "X-Forwarded-Host": "gateway.example",
        "X-Forwarded-Proto": "https", "X-Real-IP": "192.0.2.1", "X-Tunnel-Agent": "desk",
        "Proxy-Authorization": "Basic eDp5", "Sec-Fetch-Site": "cross-site", "TE": "trailers",
    }
    words = [word for name, value in secret.items() for word in ("--header", f"{name}: {value}")]
    answer = way.ask(
        f"/api/chat?token={way.token}", *words, "--header", "X-Own: kept", "--header", "Accept-Language: de",
        value=CHAT)
    assert answer.status == 200
    seen = way.model.last("/api/chat")
    fields = fields_of(seen)
    assert not {name.lower() for name in secret} & fields.keys()
    assert not [name for name in fields if name.startswith(("x-forwarded", "sec-", "cf-"))]
    assert "authorization" not in fields and way.token not in json.dumps(seen)
    assert fields["host"] == way.model.origin.removeprefix("http://")
    assert (fields["x-own"], fields["accept-language"]) == ("kept", "de")
    assert seen["target"] == "/api/chat"


def test_what_is_for_one_hop_ends_there(tunnel):
    tunnel.ask("/api/tags", "--header", "Connection: keep-alive, X-Hop", "--header", "X-Hop: this one")
    assert "x-hop" not in fields_of(tunnel.model.last("/api/tags"))


# The agent is the last guard


@pytest.mark.parametrize("method, path", [
    ("POST", "/api/pull"), ("POST", "/api/push"), ("DELETE", "/api/delete"), ("POST", "/api/create"),
    ("POST", "/api/copy"), ("POST", f"/api/blobs/sha256:{'0' * 64}"), ("GET", "/api/nothing"), ("POST", "/api/tags"),
    ("GET", "/metrics"),
])
def test_what_an_agent_does_not_offer_never_reaches_the_model(method, path, tunnel):
    answer = tunnel.ask(path, "--request", method, value={"model": "llama3.2"})
    assert (answer.status, answer.error["code"]) == (403, "AGENT_REFUSED")
    assert answer.error["tunnelCode"] == "TUNNEL_010" and answer.json["requestId"]
    assert tunnel.model.requests == []


def test_what_an_agent_is_told_to_allow_it_does(tunnels):
    opened = tunnels(agent={"options": ["--allow", "pull,delete"]})
    assert opened.ask("/api/pull", value={"model": "llama3.2"}).lines[-1] == {"status": "success"}
    assert opened.ask("/api/delete", "--request", "DELETE", value={"model": "llama3.2"}).status == 200
    assert opened.ask("/api/push", value={"model": "llama3.2"}).status == 403
    assert [each["target"] for each in opened.model.requests] == ["/api/pull", "/api/delete"]


@pytest.mark.parametrize("path", [
    "//api/tags", "/api//tags", "/api/tags//", "/api/%2e%2e/tags", "/../api/tags", "/api/..%2ftags", "/api%2ftags",
    "/api/./tags", "/api%5ctags", "/api/tags%1f",
])
def test_a_path_that_can_be_read_in_two_ways_is_refused(path, tunnel):
    answer = tunnel.ask(path, "--path-as-is")
    assert (answer.status, answer.error["code"], answer.error["tunnelCode"]) == (400, "INVALID_PATH", "TUNNEL_010")
    assert tunnel.model.requests == []


# Several agents


def test_of_several_agents_the_longest_connected_answers_unless_another_is_named(tunnels, tmp_path):
    both = tunnels(TUNNEL_RESUME_GRACE=0)
    other = Model(tmp_path / "other")
    try:
        second = both.start_agent("laptop", local=other.origin)
        for words in ([], ["--header", "X-Tunnel-Agent: desk"]):
            assert both.ask("/api/tags", *words).status == 200
        assert (len(both.model.requests), len(other.requests)) == (2, 0)
        assert both.ask("/api/tags", "--header", "X-Tunnel-Agent: laptop").status == 200
        assert both.consumer.ask("/api/tunnel/agents/laptop/ollama/api/tags").status == 200
        assert len(other.requests) == 2
        both.agent.stop()
        until(lambda: both.gateway.total("gateway_tunnel_agents") == 1, "the first to be gone")
        assert both.ask("/api/tags").status == 200
        assert len(other.requests) == 3
        assert both.ask("/api/tags", "--header", "X-Tunnel-Agent: desk").status == 503
        assert second.exit_code is None
    finally:
        other.stop()


def test_nobody_reaches_anothers_agent(tunnel):
    stranger = Consumer(tunnel.origin, tokens.mint(sub="stranger"))
    assert stranger.ask("/api/ollama/api/tags").status == 503
    assert stranger.ask("/api/tunnel/agents/desk/ollama/api/tags").status == 503
    answer = stranger.ask(f"/api/direct-proxy/{USER}/ollama/api/tags")
    assert (answer.status, answer.error["code"]) == (403, "ACCESS_DENIED")
    assert tunnel.model.requests == []


def test_a_user_whose_name_needs_encoding_has_paths_too(tunnel):
    user = "auth0|some/one"
    tunnel.start_agent("else", token=agent_token(sub=user))
    consumer = Consumer(tunnel.origin, tokens.mint(sub=user))
    assert consumer.ask("/api/direct-proxy/auth0%7csome%2Fone/ollama/api/tags").status == 200
    assert consumer.ask("/api/direct-proxy/auth0/ollama/api/tags").status == 403
