"""What the tunnel does when something fails: agents that die, stop or lie, networks that cut, gateways that change."""

import concurrent.futures
import json
import random
import signal
import socket
import time

import pytest
import websocket
from harness import tokens
from harness.tunnel import CHAT, UNLIMITED, USER, Consumer, agent_token, token_file
from harness.waiting import until


def sessions(tunnel, how):
    return tunnel.gateway.total("gateway_tunnel_sessions_total", how=how)


def told(reader):
    """The error that an answer ended with that broke off."""
    lines, code = reader.rest()
    assert code == 18, (lines, code)
    return json.loads(lines[-1])["error"]


# The network


@pytest.mark.parametrize("seed", [1, 2])
def test_answers_are_the_same_byte_for_byte_however_often_the_network_cuts(seed, tunnels, cutter):
    dice = random.Random(seed)
    cuts = iter([dice.randrange(50_000, 600_000) for _ in range(5)])
    cut = tunnels(agent=None, LOOPS=2, **UNLIMITED | {"TUNNEL_RESUME_GRACE": "30s"})
    proxy = cutter(cut.gateway.port, lambda: next(cuts, None))
    cut.start_agent(url=proxy.origin)
    asked = CHAT | {"behaviour": {"chunks": 120, "size": 8192, "pace": 0.01}}
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: cut.ask("/api/chat", value=asked), range(5)))
    assert len(cut.model.asked("/api/chat")) == 5, "no request is executed twice"
    expected = cut.direct.ask("/api/chat", value=asked).body
    assert [(answer.code, answer.status, answer.body == expected) for answer in answers] == [(0, 200, True)] * 5
    assert proxy.cuts >= 3 and sessions(cut, "resumed") >= 3 and sessions(cut, "new") == 1


def test_a_request_waits_for_an_agent_that_is_just_coming_back(tunnels, cutter):
    back = tunnels(agent=None, **UNLIMITED | {"TUNNEL_RESUME_GRACE": "30s"})
    proxy = cutter(back.gateway.port)
    back.start_agent(url=proxy.origin)
    proxy.cut()
    assert back.ask("/api/tags").status == 200
    assert sessions(back, "resumed") == 1


# The agent


def test_an_agent_that_was_killed_and_started_again_takes_its_name_over(tunnels):
    killed = tunnels(TUNNEL_RESUME_GRACE="60s")
    with killed.read("/api/chat", CHAT | {"behaviour": {"hang": 1}}) as reader:
        reader.line()
        killed.agent.popen.kill()
        killed.start_agent()
        assert told(reader)["tunnelCode"] == "TUNNEL_001"
    assert killed.ask("/api/tags").status == 200
    assert sessions(killed, "takeover") == 1 and killed.gateway.total("gateway_tunnel_agents") == 1


def test_an_agent_that_stands_still_is_noticed_and_comes_back(tunnels):
    still = tunnels(
        TUNNEL_HEARTBEAT_INTERVAL=300, TUNNEL_HEARTBEAT_TIMEOUT=300, TUNNEL_HEARTBEAT_MISSES=2, **UNLIMITED)
    with still.read("/api/chat", CHAT | {"behaviour": {"hang": 1}}) as reader:
        reader.line()
        still.agent.popen.send_signal(signal.SIGSTOP)
        try:
            assert told(reader)["tunnelCode"] == "TUNNEL_001"
            until(lambda: still.gateway.total("gateway_tunnel_agents") == 0, "the gateway to notice")
            assert still.ask("/api/tags").error["code"] == "DESKTOP_CLIENT_DISCONNECTED"
        finally:
            still.agent.popen.send_signal(signal.SIGCONT)
    until(lambda: still.ask("/api/tags").status == 200, "the agent to come back", 30)
    assert still.agent.exit_code is None


def test_an_agent_whose_token_ends_is_closed_with_4401_and_its_requests_are_told(tunnels):
    ended = tunnels(agent={"token": agent_token(lifetime=4)}, **UNLIMITED)
    with ended.read("/api/chat", CHAT | {"behaviour": {"hang": 1}}) as reader:
        reader.line()
        assert told(reader)["tunnelCode"] == "TUNNEL_001"
    assert ended.gateway.total("gateway_websocket_closed_total", code="4401") == 1
    # It has no other token.
    assert ended.agent.wait() != 0


def test_an_agent_shows_its_next_token_in_time_and_its_session_goes_on(tunnels):
    lifetime = 4
    ends = time.time() + lifetime
    renewed = tunnels(agent={"token": agent_token(lifetime=lifetime)}, **UNLIMITED)
    with renewed.read("/api/chat", CHAT | {"behaviour": {"chunks": 50, "pace": 0.1}}) as reader:
        assert reader.line()
        token_file(renewed.folder / "agent-0", agent_token())
        until(lambda: "token renewed" in renewed.agent.stderr, "the renewal")
        lines, code = reader.rest()
    assert code == 0 and b"error" not in lines[-1]
    # The answer or this wait outlives the first token.
    until(lambda: time.time() > ends + 1, "the first token to end")
    assert renewed.ask("/api/tags").status == 200
    assert sessions(renewed, "new") == 1 and sessions(renewed, "resumed") == 0
    assert renewed.gateway.total("gateway_websocket_closed_total", code="4401") == 0


def test_a_consumers_token_is_no_agents(tunnels):
    gateway = tunnels(agent=None).gateway
    for token, status in ((tokens.mint(sub=USER), 403), (agent_token(lifetime=-3600), 401), ("nonsense", 401)):
        with pytest.raises(websocket.WebSocketBadStatusException) as refusal:
            websocket.create_connection(
                f"{gateway.websocket_origin}/api/tunnel/agent", header=[f"Authorization: Bearer {token}"],
                subprotocols=["tunnel.agent.v1"])
        assert refusal.value.status_code == status


# The gateway


def test_a_gateway_that_was_started_again_says_come_back_until_the_agents_are_there(tunnels, cutter):
    first = tunnels(agent=None)
    proxy = cutter(first.gateway.port)
    first.start_agent(url=proxy.origin)
    second = tunnels(agent=None)
    proxy.is_open = False
    first.gateway.stop()
    consumer = Consumer(second.origin, first.token)
    answer = consumer.ask("/api/ollama/api/tags")
    assert (answer.status, answer.error["code"], answer.field("retry-after")) == (503, "AGENT_RECONNECTING", "2")
    proxy.target = second.gateway.port
    proxy.is_open = True
    until(lambda: consumer.ask("/api/ollama/api/tags").status == 200, "the agent to come back", 30)
    assert sessions(second, "new") == 1 and first.agent.exit_code is None


def test_a_reload_that_makes_the_plugin_anew_ends_its_sessions_and_agents_come_back(tunnels, tmp_path):
    file = tmp_path / "gateway.env"

    def write(seconds):
        file.write_text(f'TUNNEL_IDLE_TIMEOUT="{seconds}s"\nDRAIN_JITTER="0"\n')

    write(100)
    anew = tunnels(arguments=("serve", "--env-file", file), **UNLIMITED | {"TUNNEL_RESUME_GRACE": "60s"})
    with anew.read("/api/chat", CHAT | {"behaviour": {"hang": 1}}) as reader:
        reader.line()
        write(101)
        anew.gateway.popen.send_signal(signal.SIGHUP)
        # At once, and not after the grace: nobody can go on with a session of the instance before.
        assert told(reader)["tunnelCode"] == "TUNNEL_001"
    until(lambda: anew.ask("/api/tags").status == 200, "the agent to come back", 30)
    until(lambda: anew.gateway.total("gateway_tunnel_agents") == 1, "the sessions before to be gone")
    assert anew.agent.exit_code is None
