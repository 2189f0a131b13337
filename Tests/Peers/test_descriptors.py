"""A gateway that has no file descriptor left."""

import http.client
import os
import resource
import socket
from pathlib import Path

import pytest
from harness import exposition
from harness.waiting import until

#: Descriptors that are left for clients, and clients that come beyond them.
ROOM = 12
MORE = 20


@pytest.fixture
def cramped(gateway):
    """A gateway, and a connection to its metrics that was made while there was room."""
    # Without an issuer, whose keys it would fetch: that takes descriptors, and gives them back.
    process = gateway(
        LOOPS=1, SUPABASE_JWT_SECRET=None, SUPABASE_AUTH_ISSUER=None, SUPABASE_AUTH_AUDIENCE=None)
    operator = http.client.HTTPConnection("127.0.0.1", process.ops_port, timeout=20)
    operator.connect()
    assert _metric(operator, "gateway_accept_pauses_total") == 0
    # Nothing of this test's, and nothing that /readyz was asked over, is open any more.
    until(lambda: _metric(operator, "gateway_connections_open") == 1, "the other connections to close")
    highest = max(int(name) for name in os.listdir(f"/proc/{process.pid}/fd"))
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (highest + 1 + ROOM, hard))
    yield process, operator
    operator.close()


def _metric(operator, name):
    operator.request("GET", "/metrics")
    return exposition.total(exposition.parse(operator.getresponse().read().decode()), name)


def _ask(client):
    client.sendall(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")


def _answer(client):
    answer = b""
    while not answer.endswith(b"ok"):
        piece = client.recv(4096)
        assert piece, f"closed after {answer}"
        answer += piece
    assert answer.startswith(b"HTTP/1.1 200 ")


def _sleeps_of_loop(process):
    """How often the loop's thread has gone to sleep by itself. One that spins on a ready listener never does."""
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "loop-0":
            status = (task / "status").read_text().splitlines()
            return int(next(line for line in status if line.startswith("voluntary_ctxt_switches")).split()[1])
    raise AssertionError("the gateway has no loop-0")


def test_without_a_descriptor_accepting_rests_and_nobody_is_lost(cramped):
    process, operator = cramped
    clients = [socket.create_connection(("127.0.0.1", process.port), 30) for _ in range(ROOM + MORE)]
    try:
        for client in clients:
            _ask(client)
        until(lambda: "no descriptor is free" in process.stderr + process.stdout, "the log to say so")
        slept = _sleeps_of_loop(process)
        until(lambda: _sleeps_of_loop(process) >= slept + 10, "the loop to rest ten times")
        assert (process.stderr + process.stdout).count("no descriptor is free") == 1
        assert _metric(operator, "gateway_accept_pauses_total") == 1
        assert _metric(operator, "gateway_connections_open") <= ROOM + 1

        # Those who were let in are served as ever, and each that leaves makes room for the next.
        answered = 0
        for client in clients:
            _answer(client)
            client.close()
            answered += 1
        assert answered == ROOM + MORE
    finally:
        for client in clients:
            client.close()
    with socket.create_connection(("127.0.0.1", process.port), 30) as newcomer:
        _ask(newcomer)
        _answer(newcomer)
    assert _metric(operator, "gateway_connections_accepted_total") >= ROOM + MORE + 1


def test_a_drain_without_a_descriptor_still_takes_everybody_who_has_connected(cramped):
    process, _ = cramped
    clients = [socket.create_connection(("127.0.0.1", process.port), 30) for _ in range(ROOM + MORE)]
    try:
        for client in clients:
            _ask(client)
        until(lambda: "no descriptor is free" in process.stderr + process.stdout, "the log to say so")
        process.terminate()
        for client in clients:
            _answer(client)
            client.close()
        assert process.wait(30) == 0
    finally:
        for client in clients:
            client.close()
