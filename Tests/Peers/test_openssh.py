"""OpenSSH through whatever carries its bytes: commands, exit statuses, large files, many at once, half-closes, outages.

Each of `WAYS` is held to all of it, except that netcat, which is there to show that the tests themselves are right, is
spared the large files.
"""

import concurrent.futures
import contextlib
import hashlib
import os
import subprocess

import pytest
from harness import tcp
from harness.gateway import Gateway, binary
from harness.processes import run
from harness.ssh import SSHClient, SSHServer, there
from harness.tunnel import Agent, connect_token, token_file
from harness.waiting import until

MIB = 1 << 20


class Netcat:
    """No way at all but TCP: what ssh does over it, it must do over every other."""

    #: Seconds that the network is cut for, of what the way is to outlive.
    outage = 1

    def __init__(self, request):
        """`request` is pytest's, for the fixtures that a way needs."""

    def far_address(self, network):
        """Where a server on `network.far` must listen for the way to lead to it."""
        return network.far.address

    def has_been_cut(self, network):
        """Fails if the outage was none for this way."""

    def leads_to(self, address, port, network=None):
        """The command whose input and output are a connection to there, with what it takes started.

        With a `network` the address is `network.far`'s, and the command will run on `network.near`.
        """
        # Ends its side when its input ends, as a ProxyCommand must for half-closes to pass.
        return f"nc -N {address} {port}"


class Tunnel:
    """`gateway connect` through a gateway to an agent beside the server."""

    #: So long that the gateway gives the agent's connection up: its streams go on over another.
    outage = 5

    def __init__(self, request):
        self._fixture = request.getfixturevalue
        self._finish = request.addfinalizer
        self._folder = self._fixture("tmp_path")

    def far_address(self, network):
        """An agent dials its own machine and no other."""
        return "127.0.0.1"

    def has_been_cut(self, network):
        with network.near:
            assert self._gateway.total("gateway_tunnel_sessions_total", how="resumed") > 0

    def leads_to(self, address, port, network=None):
        if not network:
            return self._connect(port, self._fixture("tunnel_gateway"))
        settings = {
            "PLUGINS": "tunnel", "LISTEN_ADDRESS": "0.0.0.0", "TUNNEL_HEARTBEAT_INTERVAL": "1s",
            "TUNNEL_HEARTBEAT_TIMEOUT": "1s"}
        with network.near:
            self._gateway = Gateway(self._folder / "gateway", settings)
            self._finish(self._gateway.stop)
            self._gateway.wait_until_ready()
            url = f"ws://{network.near.address}:{self._gateway.port}"
            return self._connect(port, self._gateway, url, host=network.far)

    def _connect(self, port, gateway, url=None, authority=None, host=None):
        """An agent that offers `port`, and the command that reaches it."""
        url = url or gateway.origin
        agent = Agent(self._folder / "agent", gateway, ports=[port], url=url, authority=authority, host=host)
        self._finish(agent.stop)
        agent.wait_until_connected()
        token = token_file(self._folder / "consumer", connect_token())
        trust = f" --ca {authority}" if authority else ""
        return f"{binary()} connect desk:{port} --url {url} --token-file {token}{trust}"


class IngressTunnel(Tunnel):
    """The same with nginx before the gateway, for both ends."""

    def leads_to(self, address, port, network=None):
        url = f"wss://localhost:{self._fixture('tunnel_ingress').port}"
        return self._connect(
            port, self._fixture("tunnel_gateway"), url, self._fixture("authority").certificate)


WAYS = {"netcat": Netcat, "tunnel": Tunnel, "ingress": IngressTunnel}


#: For what takes long.
THE_TUNNEL_ONLY = pytest.mark.parametrize("way", ["tunnel"], indirect=True)
NO_INGRESS = pytest.mark.parametrize("way", ["netcat", "tunnel"], indirect=True)


@pytest.fixture(scope="module")
def tunnel_gateway(shared_gateway):
    return shared_gateway(PLUGINS="tunnel")


@pytest.fixture(scope="module")
def tunnel_ingress(tunnel_gateway, ingress):
    return ingress(tunnel_gateway)


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param](request)


@pytest.fixture
def client(way, ssh, ssh_server):
    return ssh(way.leads_to(ssh_server.address, ssh_server.port))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """256 MiB that no two blocks of are the same, and their SHA-256."""
    path = tmp_path_factory.mktemp("large") / "large"
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for _ in range(256):
            block = os.urandom(MIB)
            digest.update(block)
            file.write(block)
    yield path, digest.hexdigest()
    path.unlink()


def sha256(path):
    return run(["sha256sum", path]).stdout.split()[0].decode()


def test_a_command_runs_in_the_shell_there(client):
    done = client.run("echo", "$((6 * 7))", ";", "echo", "no", ">&2")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"42\n", b"no\n")


def test_the_exit_status_arrives(client):
    assert [client.run("exit", status).returncode for status in (0, 1, 254)] == [0, 1, 254]


def test_a_shell_with_a_terminal_is_talked_to(client):
    """Several questions and answers on one connection, each after the other."""
    with client.start("-tt", "sh") as shell:
        shell.say(b"stty -echo; PS1=; echo re''ady\n")
        shell.hear(b"ready\r\n")
        for number in range(5):
            shell.say(b"echo $((%d + 1))\n" % number)
            assert shell.hear(b"\r\n") == b"%d\r\n" % (number + 1)
        shell.say(b"exit 7\n")
        assert shell.wait() == 7


@THE_TUNNEL_ONLY
def test_256_mebibytes_arrive_there_as_they_were(client, large, ssh_server):
    path, digest = large
    target = ssh_server.transfers / "up"
    client.copy(path, there(target))
    assert sha256(target) == digest
    target.unlink()


@THE_TUNNEL_ONLY
def test_256_mebibytes_arrive_here_as_they_were(client, large, tmp_path):
    path, digest = large
    client.copy(there(path), tmp_path / "down")
    assert sha256(tmp_path / "down") == digest


def test_sftp_lists_and_fetches(client, ssh_server, tmp_path):
    (ssh_server.transfers / "small").write_bytes(b"some")
    done = client.sftp(f"ls -1 {ssh_server.transfers}", f"get {ssh_server.transfers}/small {tmp_path}/small")
    assert b"small" in done.stdout
    assert (tmp_path / "small").read_bytes() == b"some"


def test_a_file_arrives_by_the_old_protocol_of_scp(client, ssh_server, tmp_path):
    source, target = tmp_path / "old", ssh_server.transfers / "old"
    source.write_bytes(os.urandom(MIB))
    client.copy(source, there(target), legacy=True)
    assert target.read_bytes() == source.read_bytes()


@THE_TUNNEL_ONLY
def test_five_copy_at_once(client, ssh_server, tmp_path):
    files = [tmp_path / f"five-{number}" for number in range(5)]
    for file in files:
        file.write_bytes(os.urandom(16 * MIB))
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda file: client.copy(file, there(ssh_server.transfers / file.name)), files))
    assert [sha256(ssh_server.transfers / file.name) for file in files] == [sha256(file) for file in files]


@THE_TUNNEL_ONLY
def test_the_end_of_input_arrives_while_the_answer_is_still_to_come(client, large):
    path, digest = large
    with open(path, "rb") as file:
        done = client.run("sha256sum", given=file)
    assert done.stdout.split()[0].decode() == digest


def test_a_forwarded_port_carries(client, tcp_server, ssh_server):
    server = tcp_server(tcp.echo)
    with client.start("-W", f"127.0.0.1:{server.port}") as pipe:
        pipe.say(b"there and back")
        assert pipe.hear(b"back") == b"there and back"
        pipe.say_no_more()
        assert pipe.wait() == 0


# The bytes without ssh


def test_a_half_close_passes_and_the_answer_comes_back(way, tcp_server, large):
    path, digest = large
    server = tcp_server(tcp.digest)
    with open(path, "rb") as file:
        done = subprocess.run(
            way.leads_to(server.address, server.port).split(), stdin=file, capture_output=True, timeout=60, check=True)
    assert done.stdout.decode() == digest


# Through an outage


@pytest.fixture
def far_server(network, way, tmp_path):
    with network.far:
        server = SSHServer(tmp_path / "sshd", way.far_address(network))
    yield server
    server.stop()


@pytest.fixture
def near_client(network, way, far_server, tmp_path):
    """To be started in `with network.near`."""
    return SSHClient(tmp_path / "client", far_server, way.leads_to(far_server.address, far_server.port, network))


@NO_INGRESS
def test_a_session_outlives_an_outage(network, way, near_client):
    with network.near:
        shell = near_client.start("cat")
    with shell:
        shell.say(b"before\n")
        assert shell.hear(b"\n") == b"before\n"
        with network.outage(way.outage):
            shell.say(b"meanwhile\n")
            until(lambda: network.swallowed, "the router to swallow a packet")
        assert shell.hear(b"\n") == b"meanwhile\n"
        way.has_been_cut(network)
        shell.say_no_more()
        assert shell.wait() == 0


@THE_TUNNEL_ONLY
def test_a_copy_outlives_an_outage(network, way, far_server, near_client, large):
    path, digest = large
    target = far_server.transfers / "up"

    def copy():
        with network.near:
            near_client.copy(path, there(target))

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        copying = pool.submit(copy)
        until(lambda: target.exists() and target.stat().st_size > MIB, "the copy to begin")
        with network.outage(way.outage):
            until(lambda: network.swallowed, "the router to swallow a packet")
            assert not copying.done()
        copying.result()
    way.has_been_cut(network)
    assert sha256(target) == digest
