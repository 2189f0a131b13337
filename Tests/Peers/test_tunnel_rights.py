"""Rights in the tunnel with the real agent: enrolled, shared, revoked in the middle of a stream, and audited."""

import json
import time

import pytest
from harness import tokens
from harness.tunnel import CHAT, UNLIMITED, USER, Agent, Consumer
from harness.waiting import until

ENROLMENTS = "/api/tunnel/enrolments"
SHARES = "/api/tunnel/shares"
#: Of an agent whose credential is dead.
NOT_PERMITTED = 77


@pytest.fixture
def made(tunnels):
    return tunnels(agent=None, **UNLIMITED)


def enrol(made, name="desk"):
    """Id and credential of a new enrolment."""
    answer = made.consumer.ask(ENROLMENTS, value={"name": name})
    assert answer.status == 201
    return answer.json["id"], answer.json["credential"]


def delete(consumer, path):
    return consumer.ask(path, "--request", "DELETE").status


def audited(gateway, what):
    """The lines of the audit log about it."""
    lines = gateway.stderr.splitlines() + gateway.stdout.splitlines()
    return [line for line in lines if " audit " in line and what in line]


def slow(made):
    """Lets the model answer without an end, one piece after the other."""
    made.model.behave(path="/api/chat", chunks=10_000, pace=0.05)


def test_an_enrolled_agent_serves_until_it_is_revoked_and_then_ends(made):
    number, credential = enrol(made)
    agent = made.start_agent(token=credential)
    assert made.consumer.ask("/api/ollama/api/tags").status == 200
    listed = made.consumer.ask(ENROLMENTS).json["enrolments"]
    assert [(one["id"], one["connected"]) for one in listed] == [(number, True)]

    slow(made)
    with made.consumer.read("/api/ollama/api/chat", CHAT) as reader:
        assert reader.line()
        began = time.monotonic()
        assert delete(made.consumer, f"{ENROLMENTS}/{number}") == 204
        lines, code = reader.rest()
        assert code == 18, "the answer must not look whole"
        assert b'"error"' in lines[-1]
        assert time.monotonic() - began < 5
    assert agent.wait() == NOT_PERMITTED
    assert made.consumer.ask("/api/ollama/api/tags").status == 503


def test_an_enrolment_outlives_the_gateway(made, gateway):
    _, credential = enrol(made)
    made.start_agent(token=credential)
    made.agents.pop().stop()
    first = made.gateway
    first.terminate()
    assert first.wait() == 0
    again = gateway(PLUGINS="tunnel", STATE_DIRECTORY=first.settings["STATE_DIRECTORY"], **UNLIMITED)
    made.gateway, made.origin = again, again.origin
    made.start_agent(token=credential)
    consumer = Consumer(again.origin, made.token)
    assert consumer.ask("/api/ollama/api/tags").status == 200
    assert consumer.ask(ENROLMENTS).json["enrolments"][0]["lastUsedAt"]


def test_a_share_reaches_what_it_names_until_it_is_ended(made):
    _, credential = enrol(made)
    made.start_agent(token=credential)
    guest = Consumer(made.origin, tokens.mint(sub="guest"))
    share = {"agent": "desk", "user": "guest", "methods": ["GET", "POST"], "paths": ["/api/chat", "/v1/*"]}
    created = made.consumer.ask(SHARES, value=share)
    assert created.status == 201
    prefix = f"/api/tunnel/agents/{USER}/desk/ollama"
    assert guest.ask(f"{prefix}/v1/models").status == 200
    assert guest.ask("/api/ollama/v1/models", "--header", f"X-Tunnel-Agent: {USER}/desk").status == 200
    made.model.forget()
    assert guest.ask(f"{prefix}/api/tags").status == 403
    assert guest.ask(f"{prefix}/v1/%2e%2e/api/tags", "--path-as-is").status == 400
    assert not made.model.requests
    slow(made)
    with guest.read(f"{prefix}/api/chat", CHAT) as reader:
        assert reader.line()
        assert delete(made.consumer, f"{SHARES}/{created.json['id']}") == 204
        assert reader.rest()[1] == 18
    assert guest.ask(f"{prefix}/v1/models").status == 503


def test_the_audit_log_says_who_did_what_and_no_secret(made):
    number, credential = enrol(made)
    made.start_agent(token=credential)
    other = Agent(made.folder / "other", made.gateway, local=made.model.origin, name="lap", token=credential)
    assert other.wait() == NOT_PERMITTED
    share = {"agent": "desk", "user": "guest", "methods": ["GET"], "paths": ["/api/tags"]}
    shared = made.consumer.ask(SHARES, value=share).json["id"]
    guest = tokens.mint(sub="guest")
    forbidden = f"/api/tunnel/agents/{USER}/desk/ollama/api/version"
    assert Consumer(made.origin, guest).ask(forbidden).status == 403
    with made.socket(token=guest) as socket:
        assert "SHARE_FORBIDS" in json.dumps(socket.ask(path="/api/version", method="GET", agent=f"{USER}/desk"))
    delete(made.consumer, f"{SHARES}/{shared}")
    made.consumer.ask("/api/tunnel/agents/default", "--request", "PUT", value={"name": "desk"})
    delete(made.consumer, f"{ENROLMENTS}/{number}")
    made.agents[0].wait()
    upgrade = ["--header", "Upgrade: websocket", "--header", "Connection: Upgrade", "--header",
               "Sec-WebSocket-Version: 13", "--header", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    stranger = Consumer(made.origin, credential)
    assert stranger.ask("/api/tunnel/agent/enrolled", "--http1.1", *upgrade).status == 401
    consumer = Consumer(made.origin, made.token)
    assert consumer.ask("/api/tunnel/agent", "--http1.1", *upgrade).status == 403
    for what, words in {
        "enrolment created": [f"user={USER}", f"enrolment={number}", "agent=desk", "address=127.0.0.1"],
        "agent let in": [f"user={USER}", "credential=enrolment", f"enrolment={number}"],
        "share created": [f"user={USER}", "consumer=guest", f"share={shared}"],
        "share ended": [f"user={USER}", f"share={shared}"],
        "default agent chosen": [f"user={USER}", "agent=desk"],
        "enrolment revoked": [f"user={USER}", f"enrolment={number}"],
        "reason=enrolment_revoked": [f"enrolment={number}", "WARN"],
        "reason=permission_required": [f"user={USER}", "WARN", "path=/api/tunnel/agent "],
        "reason=enrolment_other_name": [f"user={USER}", "WARN", "agent=lap"],
        "reason=SHARE_FORBIDS": ["user=guest", "WARN", f"path={forbidden}"],
        "socket let in": ["user=guest", "path=/ws"],
    }.items():
        until(lambda what=what: audited(made.gateway, what), what)
        found = audited(made.gateway, what)
        assert any(all(word in line for word in words) for line in found), found
    in_envelope = audited(made.gateway, "reason=SHARE_FORBIDS")[1]
    socket_id = in_envelope.split("correlationId=")[1]
    assert any(socket_id in line for line in audited(made.gateway, "socket let in"))
    secret = credential.removeprefix(f"gwe_{number}_")
    assert len(secret) == 43
    assert secret not in made.gateway.stderr + made.gateway.stdout
