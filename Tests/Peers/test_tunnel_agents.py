"""Agents: one written from the protocol's page alone, and how `gateway agent` begins and ends."""

import concurrent.futures
import hashlib
import os
import random
import sys
from pathlib import Path

import pytest
from harness import tokens
from harness.gateway import binary
from harness.processes import Process, bare_environment, free_port, run
from harness.tcp import TCPServer, digest
from harness.tunnel import CHAT, UNLIMITED, USER, Agent, agent_token, connect_token, token_file
from harness.waiting import until

MIB = 1 << 20


class PythonAgent(Process):
    """`tunnel_agent.py`, which knows docs/TUNNEL-PROTOCOL.md and nothing of this gateway."""

    def __init__(self, folder, tunnel, token=None, url=None, ports=(), name="python"):
        self.tunnel = tunnel
        words = ["--url", (url or tunnel.gateway.origin).replace("http", "ws", 1), "--name", name]
        words += ["--token-file", token_file(folder, token or agent_token()), "--local", tunnel.model.port]
        words += [word for port in ports for word in ("--forward", port)]
        program = Path(__file__).with_name("tunnel_agent.py")
        super().__init__(
            f"agent-{name}", [sys.executable, "-s", program, *words], folder,
            bare_environment(folder) | {"PYTHONDONTWRITEBYTECODE": "1"})

    def wait_until_connected(self):
        until(lambda: '"welcome"' in self.stdout or self.exit_code is not None, "the Python agent to be welcome")
        assert self.exit_code is None
        return self


@pytest.fixture
def python_agent(tmp_path):
    """`python_agent(tunnel, …)` starts one and waits for its welcome; all are stopped at the end."""
    made = []

    def start(tunnel, wait=True, **options):
        made.append(PythonAgent(tmp_path / f"python-{len(made)}", tunnel, **options))
        return made[-1].wait_until_connected() if wait else made[-1]

    yield start
    for agent in made:
        agent.stop()


def enrol(gateway, folder, *words, name="desk", check=True):
    """`gateway agent enrol` with a token of the user's."""
    token = token_file(folder, tokens.mint(sub=USER))
    return run(
        [binary(), "agent", "enrol", "--url", gateway.origin, "--name", name, "--token-file", token, *words],
        environment=bare_environment(folder), check=check)


# The protocol's page


def test_an_agent_made_from_the_page_carries_answers_byte_for_byte(tunnels, python_agent):
    tunnel = tunnels(agent=None, **UNLIMITED)
    python_agent(tunnel)
    for path, value in (("/api/tags", None), ("/api/chat", CHAT), ("/v1/chat/completions", CHAT | {"stream": True})):
        assert tunnel.ask(path, value=value).body == tunnel.direct.ask(path, value=value).body
    head = tunnel.ask("/api/tags", "--head")
    assert (head.status, head.body) == (200, b"")
    many = CHAT | {"behaviour": {"chunks": 200, "size": 16384}}
    answer = tunnel.ask("/api/chat", value=many)
    assert answer.body == tunnel.direct.ask("/api/chat", value=many).body and len(answer.body) > 3 * MIB


def test_who_leaves_an_agent_made_from_the_page_is_gone_at_the_model(tunnels, python_agent):
    tunnel = tunnels(agent=None, **UNLIMITED)
    python_agent(tunnel)
    with tunnel.read("/api/chat", CHAT | {"behaviour": {"chunks": 1000, "pace": 0.05}}) as reader:
        reader.line()
    tunnel.model.last("/api/chat", state="gone")


def test_bytes_pass_an_agent_made_from_the_page_and_half_close_too(tunnels, python_agent, tmp_path):
    tunnel = tunnels(agent=None, **UNLIMITED)
    server = TCPServer(digest)
    try:
        python_agent(tunnel, ports=[server.port])
        sent = os.urandom(8 * MIB)
        (tmp_path / "sent").write_bytes(sent)
        token = token_file(tmp_path / "connect", connect_token())
        done = run(
            ["sh", "-c", f"'{binary()}' connect python:{server.port} --url {tunnel.gateway.origin} "
             f"--token-file '{token}' < '{tmp_path}/sent'"], environment=bare_environment(tmp_path))
        assert done.stdout.decode() == hashlib.sha256(sent).hexdigest() and done.stderr == b""
    finally:
        server.stop()


def test_an_agent_made_from_the_page_resumes_wherever_it_was_cut(tunnels, python_agent, cutter):
    dice = random.Random(3)
    cuts = iter([dice.randrange(50_000, 600_000) for _ in range(4)])
    tunnel = tunnels(agent=None, **UNLIMITED | {"TUNNEL_RESUME_GRACE": "30s"})
    proxy = cutter(tunnel.gateway.port, lambda: next(cuts, None))
    agent = python_agent(tunnel, url=proxy.origin)
    asked = CHAT | {"behaviour": {"chunks": 120, "size": 8192, "pace": 0.01}}
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: tunnel.ask("/api/chat", value=asked), range(3)))
    assert len(tunnel.model.asked("/api/chat")) == 3, "no request is executed twice"
    expected = tunnel.direct.ask("/api/chat", value=asked).body
    assert [(answer.status, answer.body == expected) for answer in answers] == [(200, True)] * 3
    assert proxy.cuts >= 2 and agent.stdout.count('"resumed"') >= 2


def test_an_agent_made_from_the_page_ends_where_it_is_not_wanted(tunnels, python_agent):
    tunnel = tunnels(agent=None)
    assert python_agent(tunnel, wait=False, token=tokens.mint(sub=USER)).wait() == 77


# Enrolling


def test_an_enrolment_is_a_file_of_its_owners_and_makes_an_agent(tunnels, tmp_path):
    tunnel = tunnels(agent=None, **UNLIMITED)
    path = tmp_path / "enrolment"
    done = enrol(tunnel.gateway, tmp_path, "--output", path)
    credential = path.read_text().strip()
    assert credential.startswith("gwe_") and path.stat().st_mode & 0o777 == 0o600
    assert done.stdout == b"" and credential not in done.stderr.decode()
    agent = tunnel.start_agent(token=credential)
    assert tunnel.ask("/api/tags").status == 200
    assert credential not in agent.stderr + tunnel.gateway.stdout


def test_an_enrolment_is_good_for_one_name_and_until_it_is_revoked(tunnels, tmp_path):
    tunnel = tunnels(agent=None, **UNLIMITED)
    credential = enrol(tunnel.gateway, tmp_path).stdout.decode().strip()
    other = Agent(tmp_path / "other", tunnel.gateway, local=tunnel.model.origin, name="laptop", token=credential)
    assert other.wait() == 77 and "is for another agent than this one" in other.stderr
    agent = tunnel.start_agent(token=credential)
    refused = enrol(tunnel.gateway, tmp_path, check=False)
    assert refused.returncode == 69 and b"status 409" in refused.stderr and refused.stdout == b""
    assert enrol(tunnel.gateway, tmp_path, "--replace").stdout.startswith(b"gwe_")
    assert agent.wait() == 77 and agent.stderr.splitlines()[-1].startswith("gateway: the enrolment was revoked")


# The end


def test_asked_to_end_an_agent_finishes_what_it_was_asked(tunnels):
    tunnel = tunnels(**UNLIMITED)
    with tunnel.read("/api/chat", CHAT | {"behaviour": {"chunks": 20, "pace": 0.05}}) as reader:
        reader.line()
        tunnel.agent.terminate()
        lines, code = reader.rest()
    assert code == 0 and len(lines) >= 19
    assert tunnel.agent.wait() == 0


def test_a_name_that_is_anothers_and_a_place_that_is_taken_end_an_agent_with_69(tunnels, tmp_path):
    tunnel = tunnels(**UNLIMITED | {"MAX_CONNECTIONS_PER_USER": 1})
    credential = enrol(tunnel.gateway, tmp_path).stdout.decode().strip()
    for name, token, sentence in (("desk", credential, "is taken by another"), ("more", None, "as many agents as")):
        agent = Agent(tmp_path / name, tunnel.gateway, local=tunnel.model.origin, name=name, token=token)
        assert agent.wait() == 69 and sentence in agent.stderr.splitlines()[-1]
    assert tunnel.ask("/api/tags").status == 200, "the first is in nobody's way"


def test_an_agent_says_in_one_sentence_what_it_was_told_wrongly(tmp_path):
    url = f"ws://127.0.0.1:{free_port()}"
    for words, code in (
        (["--url", url], 64), (["--url", url, "--local", "http://192.0.2.1:80"], 64),
        (["--url", url, "--forward", "22", "--token-file", "/nonexistent"], 78),
        (["--url", url, "--forward", "22", "--ca", "/nonexistent"], 78),
    ):
        done = run(
            [binary(), "agent", *words], environment=bare_environment(tmp_path) | {"GATEWAY_TOKEN": "t"}, check=False)
        assert done.returncode == code and done.stdout == b""
        assert done.stderr.splitlines()[-1].startswith(b"gateway: ")
