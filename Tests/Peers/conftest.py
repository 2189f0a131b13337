"""Fixtures: what a test asks for by name, started before it and stopped after it."""

import contextlib
import os
import shutil
import socket

import pytest
from harness import network as networks
from harness import nginx, streams, tcp
from harness.browser import Browser
from harness.certificates import Authority
from harness.cutter import Cutter
from harness.gateway import Gateway
from harness.model import Model
from harness.processes import Process
from harness.ssh import SSHClient, SSHServer
from harness.tunnel import UNLIMITED, Tunnel

# Everything here is on this machine; no client may go through a proxy of the user's.
for name in [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy")]:
    del os.environ[name]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test prints what its processes wrote."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for process in Process.running:
            report.sections.append((f"{process.name} (pid {process.pid}, exit {process.exit_code})", process.tail()))


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """The certificate authority that the clients trust."""
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def certificate(authority):
    """For localhost."""
    return authority.issue("localhost", "127.0.0.1")


def _starter(folder, authority):
    """Starts gateways in folders of their own under `folder`, and stops them all at the end."""
    with contextlib.ExitStack() as stack:
        count = 0

        def start(arguments=("serve",), wait=True, **settings):
            nonlocal count
            count += 1
            process = Gateway(folder / f"gateway-{count}", settings, arguments, authority.certificate)
            stack.callback(process.stop)
            return process.wait_until_ready() if wait else process

        yield start


@pytest.fixture
def gateway(tmp_path, authority):
    """`gateway(PLUGINS="echo,hls", …)` starts one and returns when it is ready; `wait=False` returns at once."""
    yield from _starter(tmp_path, authority)


@pytest.fixture(scope="module")
def shared_gateway(tmp_path_factory, authority):
    """The same for a gateway that the tests of a module share."""
    yield from _starter(tmp_path_factory.mktemp("gateways"), authority)


@pytest.fixture(scope="module")
def ingress(tmp_path_factory, certificate):
    """`ingress(gateway)` puts an nginx in front of it, the way ingress-nginx would; options are `nginx.ingress`'s."""
    with contextlib.ExitStack() as stack:

        def start(gateway, **options):
            process = nginx.ingress(tmp_path_factory.mktemp("ingress"), gateway.port, certificate, **options)
            stack.callback(process.stop)
            return process

        yield start


@pytest.fixture(scope="module")
def silent():
    """Accepts and never says a word."""
    listener = socket.create_server(("127.0.0.1", 0))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A Chromium whose tabs are `browser.open(url)`."""
    process = Browser(tmp_path_factory.mktemp("chromium"))
    yield process
    process.stop()


@pytest.fixture
def model(tmp_path):
    """A stand-in model server with a record of its own, on the loopback."""
    process = Model(tmp_path / "model")
    yield process
    process.stop()


def _tunnels(start_gateway, folder, authority):
    """Makes tunnels whose gateways `start_gateway` starts, and stops them all at the end."""
    with contextlib.ExitStack() as stack:
        count = 0

        def make(agent=(), through=None, **settings):
            nonlocal count
            count += 1
            gateway = start_gateway(**{"PLUGINS": "tunnel"} | settings)
            made = Tunnel(folder / f"tunnel-{count}", gateway, through, authority.certificate)
            stack.callback(made.stop)
            if agent is not None:
                made.start_agent(**dict(agent))
            return made

        yield make


@pytest.fixture
def tunnels(gateway, tmp_path, authority):
    """`tunnels(TUNNEL_MAX_BODY=1024, agent={"options": ["--allow", "pull"]})`: gateway, model and agent, connected.

    The gateway's limits are the defaults; `agent=None` starts none.
    """
    yield from _tunnels(gateway, tmp_path, authority)


@pytest.fixture(scope="module")
def shared_tunnels(shared_gateway, tmp_path_factory, authority):
    """The same for those that the tests of a module share. Their gateways do not count requests."""
    for make in _tunnels(shared_gateway, tmp_path_factory.mktemp("tunnels"), authority):
        yield lambda **options: make(**UNLIMITED | options)


@pytest.fixture(scope="module")
def shared_tunnel(shared_tunnels):
    return shared_tunnels()


@pytest.fixture(scope="module")
def behind_ingress(shared_tunnels, ingress):
    """One whose agent and consumers come through nginx."""
    return shared_tunnels(through=ingress)


@pytest.fixture
def tunnel(shared_tunnel):
    """The one that the tests of a module share, with a model that behaves and has forgotten."""
    shared_tunnel.forget()
    return shared_tunnel


@pytest.fixture(scope="module")
def ssh_server(tmp_path_factory):
    """An sshd that lets this user in, on the loopback."""
    process = SSHServer(tmp_path_factory.mktemp("sshd"))
    yield process
    process.stop()


@pytest.fixture
def ssh(ssh_server, tmp_path):
    """`ssh("nc 127.0.0.1 22")` is a client of `ssh_server` that connects by this command."""
    count = 0

    def client(proxy_command, environment=None):
        nonlocal count
        count += 1
        return SSHClient(tmp_path / f"ssh-{count}", ssh_server, proxy_command, environment)

    return client


@pytest.fixture
def tcp_server():
    """`tcp_server(tcp.echo)` listens on the loopback, or on `address` in the namespace that it is started in."""
    with contextlib.ExitStack() as stack:

        def start(serve, address="127.0.0.1"):
            server = tcp.TCPServer(serve, address)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture
def network():
    """Two hosts and a router that can be cut. Ask for it before what runs on the hosts, so that it ends after them.

    `with network.far: Model(folder, network.far.address)`: what a thread starts and opens in the `with` is there.
    """
    try:
        made = networks.Network()
    except networks.Unavailable as reason:
        pytest.skip(
            f"no network namespaces, so nothing can be cut: {reason}. They take CAP_SYS_ADMIN and a /proc/sys that can"
            " be written to: root has both, in a container if it is privileged; `unshare --user --map-root-user --net`"
            " gives them to a user.")
    yield made
    made.close()


@pytest.fixture(scope="session")
def stream_folder(tmp_path_factory):
    """HLS streams of every kind the gateway must carry, made by ffmpeg."""
    folder = tmp_path_factory.mktemp("streams")
    streams.make_all(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def cutter():
    """`cutter(port, allow)` makes one that is stopped at the end."""
    made = []

    def make(*arguments):
        made.append(Cutter(*arguments))
        return made[-1]

    yield make
    for each in made:
        each.stop()
