"""What consumers of the tunnel are told when there is no answer, or not all of it, or too much was asked."""

import contextlib
import json
import math
import time

import pytest
from harness import tokens
from harness.tunnel import CHAT, UNLIMITED, USER, Consumer
from harness.waiting import until
from model.behaviour import text

#: A streaming question and what a line of its answer says.
STREAMS = {
    "lines": ("/api/chat", lambda line: json.loads(line)["message"]["content"]),
    "events": (
        "/v1/chat/completions",
        lambda line: json.loads(line.removeprefix(b"data: "))["choices"][0]["delta"]["content"]),
}


@pytest.fixture(scope="module")
def impatient(shared_tunnels):
    """Times and sizes so small that tests can wait for them; the breaker never opens."""
    return shared_tunnels(
        TUNNEL_FIRST_BYTE_TIMEOUT=300, TUNNEL_IDLE_TIMEOUT=300, TUNNEL_MAX_BODY=4096,
        CIRCUIT_BREAKER_FAILURES=1000)


@pytest.fixture
def tunnel(impatient):
    impatient.forget()
    return impatient


def assert_error(answer, status, code, number, retry_after=None):
    """The shape that the guide's clients know."""
    assert answer.code == 0
    assert (answer.status, answer.field("content-type").partition(";")[0]) == (status, "application/json")
    body = answer.json
    assert set(body) >= {"error", "requestId"}
    assert (body["error"]["code"], body["error"]["tunnelCode"]) == (code, number)
    assert body["error"]["message"] and body["requestId"]
    assert answer.field("retry-after") == (None if retry_after is None else str(retry_after))


# No agent


def test_without_an_agent_the_consumer_is_told_so(tunnels):
    alone = tunnels(agent=None, TUNNEL_RESUME_GRACE=0)
    assert_error(alone.ask("/api/tags"), 503, "DESKTOP_CLIENT_DISCONNECTED", "TUNNEL_004", retry_after=5)
    assert alone.ask("/api/tags").error["message"] == "Desktop client not connected"


def test_right_after_a_start_the_consumer_is_told_to_come_back(tunnels):
    assert_error(tunnels(agent=None).ask("/api/tags"), 503, "AGENT_RECONNECTING", "TUNNEL_001", retry_after=2)


def test_an_agent_that_is_not_connected_is_not_asked(tunnel):
    answer = tunnel.ask("/api/tags", "--header", "X-Tunnel-Agent: laptop")
    assert_error(answer, 503, "DESKTOP_CLIENT_DISCONNECTED", "TUNNEL_004", retry_after=5)
    assert tunnel.model.requests == []


def test_an_agent_that_is_killed_ends_what_it_was_asked(tunnels):
    killed = tunnels(TUNNEL_RESUME_GRACE=0)
    with killed.read("/api/chat", CHAT | {"behaviour": {"hang": 1}}) as reader:
        reader.line()
        killed.agent.popen.kill()
        lines, code = reader.rest()
    assert code == 18 and json.loads(lines[-1])["error"]["tunnelCode"] == "TUNNEL_001"
    until(lambda: killed.gateway.total("gateway_tunnel_agents") == 0, "the gateway to know")
    assert killed.ask("/api/tags").status == 503


# Who may not


@pytest.mark.parametrize("token, number", [
    (None, "TUNNEL_002"), ("nonsense", "TUNNEL_002"), (tokens.mint(lifetime=-3600), "TUNNEL_003"),
], ids=["none", "bad", "expired"])
def test_without_a_good_token_nothing_is_asked(token, number, tunnel):
    assert_error(Consumer(tunnel.origin, token).ask("/api/ollama/api/tags"), 401, "AUTH_REQUIRED", number)
    assert tunnel.model.requests == []


# The model


def test_a_model_that_is_down_is_told_apart(tunnels):
    down = tunnels(**UNLIMITED)
    down.model.stop()
    assert_error(down.ask("/api/tags"), 502, "LLM_UNREACHABLE", "TUNNEL_004")


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
def test_a_model_that_dies_before_its_answer_is_told_apart(reset, tunnel):
    tunnel.model.behave(die="head", reset=reset)
    assert_error(tunnel.ask("/api/chat", value=CHAT), 502, "LLM_ANSWER_BROKEN", "TUNNEL_001")
    assert len(tunnel.model.asked("/api/chat")) == 1, "what may have had an effect is not sent twice"


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
@pytest.mark.parametrize("kind", STREAMS)
def test_an_answer_that_breaks_off_ends_with_an_event_and_does_not_look_whole(kind, reset, tunnel):
    path, words = STREAMS[kind]
    tunnel.model.behave(hang=3, die=3, reset=reset)
    with tunnel.read(path, CHAT | {"stream": True}) as reader:
        assert [words(reader.line()) for _ in range(3)] == [text(1, 16, number) for number in range(3)]
        tunnel.model.release()
        lines, code = reader.rest()
    assert code == 18  # CURLE_PARTIAL_FILE
    assert (lines[0] == b"event: error") == (kind == "events")
    error = json.loads(lines[-1].removeprefix(b"data: "))["error"]
    assert (error["code"], error["tunnelCode"]) == ("LLM_ANSWER_BROKEN", "TUNNEL_001") and error["message"]


def test_an_answer_that_said_its_length_breaks_off_without_a_word(tunnel):
    whole = tunnel.direct.ask("/api/tags").body
    tunnel.model.behave(die=0, reset=False)
    answer = tunnel.ask("/api/tags")
    assert answer.code == 18
    assert whole.startswith(answer.body) and len(answer.body) < len(whole)


def test_an_error_that_the_model_streams_is_its_own(tunnel):
    tunnel.model.behave(fail=2)
    answer = tunnel.ask("/api/chat", value=CHAT)
    assert (answer.code, answer.lines[-1]) == (0, {"error": "the stand-in was told to fail"})


def test_five_failures_open_the_circuit_and_a_4xx_is_none(tunnels):
    down = tunnels(**UNLIMITED)
    for status, times in ((404, 6), (500, 5)):
        down.model.behave(times=times, status=status)
        assert [down.ask("/api/tags").status for _ in range(times)] == [status] * times
    count = len(down.model.requests)
    answer = down.ask("/api/tags")
    seconds = int(answer.field("retry-after"))
    assert_error(answer, 503, "CIRCUIT_OPEN", "TUNNEL_004", retry_after=seconds)
    assert 0 < seconds <= 60 and len(down.model.requests) == count == 11


# Too late


def test_an_answer_that_does_not_begin_in_time_is_given_up(tunnel):
    tunnel.model.behave(hang="head")
    assert_error(tunnel.ask("/api/chat", value=CHAT), 504, "LLM_REQUEST_TIMEOUT", "TUNNEL_007")
    tunnel.model.last("/api/chat", state="gone")


@pytest.mark.parametrize("kind", STREAMS)
def test_an_answer_that_pauses_too_long_is_given_up(kind, tunnel):
    path, words = STREAMS[kind]
    tunnel.model.behave(hang=2)
    with tunnel.read(path, CHAT | {"stream": True}) as reader:
        assert words(reader.line()) == text(1, 16)
        lines, code = reader.rest()
    assert code == 18
    assert json.loads(lines[-1].removeprefix(b"data: "))["error"]["tunnelCode"] == "TUNNEL_007"
    assert tunnel.model.last(path, state="gone")["chunks"] == 2


def test_an_answer_may_take_longer_than_any_pause_of_it(tunnel):
    tunnel.model.behave(chunks=8, pace=0.1)
    assert tunnel.ask("/api/chat", value=CHAT).lines[-1]["done"]


# Too much


@pytest.mark.parametrize("framing", [[], ["--header", "Transfer-Encoding: chunked"]], ids=["length", "chunked"])
def test_a_body_over_the_limit_is_refused(framing, tunnel):
    answer = tunnel.ask("/api/chat", *framing, value=CHAT | {"padding": "x" * 5000})
    assert_error(answer, 413, "REQUEST_TOO_LARGE", "TUNNEL_010")
    assert not any(each["body_complete"] for each in tunnel.model.requests)
    assert tunnel.ask("/api/chat", *framing, value=CHAT | {"padding": "x" * 3000}).status == 200


# Too often


def reading(tunnel, count):
    """So many answers under way, each once it has begun; a context."""
    stack = contextlib.ExitStack()
    for number in range(count):
        stack.enter_context(tunnel.read("/api/chat", CHAT | {"behaviour": {"hang": 1}})).line()
    return stack


def test_a_fourth_request_at_once_is_refused_and_one_after_the_others_is_not(tunnels):
    """RATE_LIMIT_MAX_CONCURRENT is 3 by default."""
    limited = tunnels()
    with reading(limited, 3):
        answer = limited.ask("/api/tags")
        assert_error(answer, 429, "rate_limited", "TUNNEL_005", retry_after=1)
        assert answer.json["limitType"] == "user" and answer.json["retryAfter"] == 1
        assert '"concurrent";q=3;qu="concurrent-requests"' in answer.field("ratelimit-policy")
        assert '"concurrent";r=0' in answer.field("ratelimit")
        assert Consumer(limited.origin, tokens.mint(sub="other")).ask("/api/ollama/api/tags").status == 503
        assert limited.model.asked("/api/tags") == []
        limited.model.release()
    until(lambda: limited.ask("/api/tags").status == 200, "a place to be free again")


def test_what_a_user_may_send_a_minute_is_told_and_kept(tunnels):
    limited = tunnels(RATE_LIMIT_REQUESTS_PER_MINUTE=5)
    began = time.time()
    for left in reversed(range(5)):
        answer = limited.ask("/api/version")
        assert answer.status == 200
        assert (answer.field("x-ratelimit-limit"), answer.field("x-ratelimit-remaining")) == ("5", str(left))
        assert f'"user";r={left};' in answer.field("ratelimit")
        assert '"user";q=5;w=60' in answer.field("ratelimit-policy")
    refused = limited.ask("/api/version")
    elapsed = time.time() - began
    # One comes back every 12 s, and the first was taken `elapsed` seconds ago at most.
    wait = int(refused.field("retry-after"))
    assert_error(refused, 429, "rate_limited", "TUNNEL_005", retry_after=wait)
    assert math.ceil(12 - elapsed) <= wait <= 12
    assert refused.json["retryAfter"] == wait and refused.json["limitType"] == "user" and refused.json["resetAt"]
    assert refused.field("x-ratelimit-remaining") == "0"
    assert began + 48 <= int(refused.field("x-ratelimit-reset")) <= time.time() + 61
    assert len(limited.model.requests) == 5
    assert Consumer(limited.origin, tokens.mint(sub="other")).ask("/api/ollama/api/tags").status == 503


def test_a_hundred_a_minute_are_allowed_unless_told_otherwise(tunnels):
    assert tunnels().ask("/api/version").field("x-ratelimit-limit") == "100"


def test_an_agent_serves_so_many_at_once_and_says_when_it_is_more(tunnels):
    """SSH_MAX_CHANNELS is 10 by default."""
    full = tunnels(**UNLIMITED)
    with reading(full, 10):
        assert_error(full.ask("/api/tags"), 503, "CHANNEL_LIMIT", "TUNNEL_006", retry_after=1)
        full.model.release()
    until(lambda: full.ask("/api/tags").status == 200, "a channel to be free again")


# Pages of other sites


def test_a_preflight_needs_no_token(tunnels):
    site = tunnels(agent=None, ALLOWED_ORIGINS="https://app.example")
    bare = Consumer(site.origin)
    words = ["--request", "OPTIONS", "--header", "Access-Control-Request-Method: POST",
             "--header", "Access-Control-Request-Headers: authorization,content-type,x-tunnel-agent"]
    for path in ("/api/ollama/api/chat", "/ollama/api/chat", f"/api/direct-proxy/{USER}/ollama/api/chat"):
        answer = bare.ask(path, *words, "--header", "Origin: https://app.example")
        assert answer.status == 204
        assert answer.field("access-control-allow-origin") == "https://app.example"
        assert "POST" in answer.field("access-control-allow-methods")
        allowed = answer.field("access-control-allow-headers").lower()
        assert all(name in allowed for name in ("authorization", "content-type", "x-tunnel-agent"))
        assert bare.ask(path, *words, "--header", "Origin: https://other.example").field(
            "access-control-allow-origin") is None
    # A page may read why it was refused, and when to come back.
    refused = bare.ask("/api/ollama/api/tags", "--header", "Origin: https://app.example")
    assert (refused.status, refused.field("access-control-allow-origin")) == (401, "https://app.example")
    assert "Retry-After" in refused.field("access-control-expose-headers")


def test_the_models_own_leave_for_pages_is_not_the_gateways(tunnel):
    answer = tunnel.ask("/api/tags", "--header", "Origin: http://localhost:1")
    assert answer.status == 200 and len(answer.fields.get("access-control-allow-origin", [])) <= 1
