"""Clients that are slow on purpose: cut off when their time is over, and in nobody's way until then.

The long form, with thousands of them and with latencies, is `make slow`.
"""

import sys

import pytest
from harness import tokens
from harness.gateway import ROOT, is_sanitized
from harness.processes import free_port
from harness.waiting import until

sys.path.append(str(ROOT / "Tests/Soak"))

from load.measure import usage  # noqa: E402
from load.peer import Peer  # noqa: E402

COUNT = 100
#: One whose relay waits for its client, see SpliceRelay.
LARGE = "/bytes/2000000"
#: What a slow client may cost the process while it is held; what the kernel has of it does not count.
EACH = 128 << 10

TIMES = {
    "HTTP_HEAD_TIMEOUT": "1500ms", "HTTP_BODY_TIMEOUT": "1s", "HTTP_WRITE_TIMEOUT": "1s", "PING_INTERVAL": "700ms",
    "PONG_TIMEOUT": "200ms", "MAX_MISSED_PONGS": 2, "CLOSE_TIMEOUT": "500ms",
}

#: Kind, seconds between two bytes (`None`: none after the beginning), and how each of them ends.
ATTACKS = [
    pytest.param("head", 0.2, {"408"}, id="a head that trickles"),
    pytest.param("head", None, {"408"}, id="a head that stops"),
    pytest.param("body", None, {"408"}, id="a body that stops"),
    pytest.param("read", None, {"ECONNRESET"}, id="an answer that is not read"),
    # Progress is what counts: as long as bytes arrive, that peer is alive.
    pytest.param("frame", 0.2, set(), id="a frame that trickles"),
    pytest.param("frame", None, {"1001"}, id="a frame that stops"),
    pytest.param("handshake", 0.2, {"closed", "ECONNRESET"}, id="a TLS handshake that trickles"),
    pytest.param("handshake", None, {"closed", "ECONNRESET"}, id="a TLS handshake that stops"),
]


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    settings = {"port": free_port(), "socket_port": free_port()}
    with Peer("upstream", settings, tmp_path_factory.mktemp("upstream")) as peer:
        peer.hear()
        yield settings


@pytest.fixture(scope="module")
def plain(shared_gateway, upstream):
    return shared_gateway(
        PLUGINS="echo,proxy", PROXY_ROUTES=f"/bytes=http://127.0.0.1:{upstream['port']}", LOG_LEVEL="warn", **TIMES)


@pytest.fixture(scope="module")
def encrypted(shared_gateway, certificate):
    return shared_gateway(TLS_CERTIFICATE=certificate.chain, TLS_KEY=certificate.key, LOG_LEVEL="warn", **TIMES)


@pytest.mark.parametrize("kind, interval, ends", ATTACKS)
def test_slow_clients_are_cut_off_and_in_nobodys_way(kind, interval, ends, plain, encrypted, tmp_path):
    gateway = encrypted if kind == "handshake" else plain
    authority = {"authority": str(gateway.authority)} if gateway.is_tls else {}
    attack = {
        "kind": kind, "port": gateway.port, "count": COUNT, "interval": interval, "replace": False, "path": LARGE,
        "token": tokens.mint(),
    }
    honest = {"port": gateway.port, "rate": 100, "token": tokens.mint()} | authority
    with Peer("honest", honest, tmp_path) as client, Peer("attack", attack, tmp_path) as attacker:
        before = usage(gateway.pid)
        assert attacker.ask("open")["held"] == COUNT
        answers = client.ask("measure 0.5")
        during = usage(gateway.pid)
        seen = {}

        def all_have_ended():
            state = attacker.ask("state")
            for how, count in state["ends"].items():
                seen[how] = seen.get(how, 0) + count
            return sum(seen.values()) == (COUNT if ends else 0)

        if kind == "read":
            # It would have to read to learn of its end, and the gateway has told nobody but itself.
            until(lambda: gateway.total("gateway_http_write_timeouts_total") == COUNT, "time-outs of all")
        else:
            until(all_have_ended, "the end of all")
            assert set(seen) <= ends, f"{seen}"
    assert answers["failures"] == [] and answers["exchanges"] == 50
    assert is_sanitized() or during.rss - before.rss < COUNT * EACH
    until(lambda: gateway.total("gateway_connections_open") <= 1, "all of them to be gone")
