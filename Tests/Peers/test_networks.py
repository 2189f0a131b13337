"""The network that tests cut: it does carry, it does swallow, and what was on its way arrives after it heals."""

import socket

from harness import tcp
from harness.processes import run
from harness.waiting import until


def _receive(client, count):
    data = b""
    while len(data) < count:
        data += client.recv(65536)
    return data


def test_bytes_of_a_connection_go_on_after_a_cut(network, tcp_server):
    with network.far:
        server = tcp_server(tcp.echo, network.far.address)
    with network.near:
        client = socket.create_connection((network.far.address, server.port), timeout=30)
    with client:
        client.sendall(b"before")
        assert _receive(client, 6) == b"before"

        network.cut()
        client.sendall(b"meanwhile")
        until(lambda: network.swallowed, "the router to swallow a packet")
        client.setblocking(False)
        try:
            assert client.recv(1) is None
        except BlockingIOError:
            pass
        client.settimeout(30)
        network.heal()
        assert _receive(client, 9) == b"meanwhile"

        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def test_a_cut_connects_nobody_and_tells_nobody(network, tcp_server):
    with network.far:
        server = tcp_server(tcp.echo, network.far.address)
    with network.outage(0), network.near:
        probe = socket.socket()
        probe.setblocking(False)
        assert probe.connect_ex((network.far.address, server.port))
        until(lambda: network.swallowed, "the router to swallow the SYN")
        # Neither refused nor unreachable: the client can only wait.
        assert probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        probe.close()
    with network.near:
        socket.create_connection((network.far.address, server.port), timeout=30).close()


def test_hosts_have_loopbacks_of_their_own_and_no_way_out(network, tcp_server):
    """What listens on the loopback of one is not on the other's, nor on the machine's."""
    with network.far:
        server = tcp_server(tcp.echo)
        socket.create_connection(("127.0.0.1", server.port), timeout=30).close()
    for place in (network.near, network.far):
        with place:
            assert "default via" in run(["ip", "route"]).stdout.decode()
    with network.near, socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0
