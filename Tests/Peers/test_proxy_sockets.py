"""WebSockets through the proxy plugin: real clients on one side, real servers on the other."""

import asyncio
import http
import json
import os
import signal
import socket
import threading

import pytest
import websockets
from harness import tokens
from harness.processes import free_port
from harness.sockets import NodeEcho
from harness.waiting import until
from websockets.extensions.permessage_deflate import PerMessageDeflate

PATIENCE = 30


def run(body):
    return asyncio.run(asyncio.wait_for(body, PATIENCE))


def connect(url, **options):
    return websockets.connect(url, max_size=None, ping_interval=None, **options)


def compresses(client):
    return any(isinstance(each, PerMessageDeflate) for each in client.extensions)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    server = NodeEcho(tmp_path_factory.mktemp("plain"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def compressing(tmp_path_factory):
    server = NodeEcho(tmp_path_factory.mktemp("compressing"), compress=True)
    yield server
    server.stop()


class PythonServer:
    """Python's websockets: chooses subprotocols, refuses, sets cookies."""

    def __init__(self, tls=None):
        started = threading.Event()
        self.closed = []

        async def handler(client):
            await client.send(json.dumps({"path": client.path, "headers": list(client.request_headers.raw_items())}))
            try:
                async for message in client:
                    await client.send(message)
            finally:
                self.closed.append((client.close_code, client.close_reason))

        async def before(path, headers):
            if path.startswith("/ws/refused"):
                return http.HTTPStatus.FORBIDDEN, {"X-Why": "because"}, b"not you"

        async def serve():
            self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
            async with websockets.serve(
                handler, "127.0.0.1", 0, subprotocols=["v2.app", "v1.app"], process_request=before, max_size=None,
                ssl=tls, extra_headers={"Set-Cookie": "node=a; Path=/"}, ping_interval=None,
            ) as server:
                self.port = server.sockets[0].getsockname()[1]
                self.origin = f"{'https://localhost' if tls else 'http://127.0.0.1'}:{self.port}"
                started.set()
                await self.over.wait()

        self.thread = threading.Thread(target=lambda: asyncio.run(serve()))
        self.thread.start()
        assert started.wait(PATIENCE)

    def stop(self):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join()


@pytest.fixture(scope="module")
def python():
    server = PythonServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def secure_python(certificate):
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    server = PythonServer(context)
    yield server
    server.stop()


#: One miss closes, so whoever hears three pings has answered two.
HEARTBEAT = {"PING_INTERVAL": 200, "PONG_TIMEOUT": 5000, "MAX_MISSED_PONGS": 1}


@pytest.fixture(scope="module")
def routes(plain, compressing, python, secure_python):
    return ",".join([
        f"/plain={plain.origin}", f"/compressing={compressing.origin}", f"/ws={python.origin}",
        f"/secure={secure_python.origin}", f"/nobody=http://127.0.0.1:{free_port()}",
    ])


@pytest.fixture(scope="module")
def gate(shared_gateway, routes, authority):
    """Offers compression to clients only."""
    return shared_gateway(
        PLUGINS="proxy", PROXY_ROUTES=routes, UPSTREAM_CA_FILE=authority.certificate, MAX_FRAME_SIZE="2MiB", **HEARTBEAT)


@pytest.fixture(scope="module")
def compressing_gate(shared_gateway, routes):
    """Offers it to upstreams too."""
    return shared_gateway(
        PLUGINS="proxy", PROXY_ROUTES=routes, PROXY_WEBSOCKET_COMPRESSION="true", MAX_FRAME_SIZE="2MiB", **HEARTBEAT)


@pytest.mark.parametrize("client_compresses", [True, False], ids=["compressing client", "plain client"])
@pytest.mark.parametrize("upstream_compresses", [True, False], ids=["compressing upstream", "plain upstream"])
def test_each_side_compresses_as_it_agreed_to(client_compresses, upstream_compresses, compressing_gate):
    """A server that cannot compress declines what the gateway offers it."""
    path = "compressing" if upstream_compresses else "plain"
    messages = ["hello", "", "grüße 🦢", "compressible " * 80_000, b"\x00\xff", os.urandom(1 << 20), bytes(1 << 20)]

    async def body():
        options = {} if client_compresses else {"compression": None}
        async with connect(f"{compressing_gate.websocket_origin}/{path}/x", **options) as client:
            greeting = json.loads(await client.recv())
            assert compresses(client) == client_compresses
            assert ("permessage-deflate" in greeting["extensions"]) == upstream_compresses
            for message in messages:
                await client.send(message)
            for index, message in enumerate(messages):
                assert await client.recv() == message, f"message {index} came back changed"

    run(body())


def test_upstreams_are_not_offered_compression_unless_told(gate):
    async def body():
        async with connect(f"{gate.websocket_origin}/compressing/x") as client:
            assert compresses(client)
            assert "sec-websocket-extensions" not in json.loads(await client.recv())["headers"]

    run(body())


def test_a_fragmented_message_arrives_whole(gate):
    async def body():
        async with connect(f"{gate.websocket_origin}/plain/x") as client:
            await client.recv()
            await client.send(iter(["three ", "fragments, ", "one message"]))
            assert await client.recv() == "three fragments, one message"

    run(body())


def test_the_upstream_sees_who_asks_and_no_token(gate, plain):
    async def body():
        url = f"{gate.websocket_origin}/plain/room?a=1&token={tokens.mint()}&b=2"
        headers = {"X-Own": "yes", "X-Forwarded-For": "1.2.3.4", "Cookie": "c=1", "Authorization": "Bearer t"}
        async with connect(url, origin="https://app.example", extra_headers=headers) as client:
            return json.loads(await client.recv())

    seen = run(body())
    headers = seen["headers"]
    assert seen["url"] == "/plain/room?a=1&b=2"
    assert headers["origin"] == "https://app.example"
    assert (headers["x-own"], headers["cookie"], headers["authorization"]) == ("yes", "c=1", "Bearer t")
    assert headers["host"] == f"127.0.0.1:{plain.port}"
    assert headers["x-forwarded-host"] == f"localhost:{gate.port}"
    assert headers["x-request-id"]


@pytest.mark.parametrize("offered, chosen", [
    (["v1.app"], "v1.app"), (["other", "v2.app"], "v2.app"), (["other"], None), (None, None),
])
def test_the_upstream_chooses_the_subprotocol(offered, chosen, gate):
    async def body():
        async with connect(f"{gate.websocket_origin}/ws/x", subprotocols=offered) as client:
            await client.recv()
            return client.subprotocol

    assert run(body()) == chosen


def test_fields_of_the_upstreams_101_reach_the_client(gate):
    async def body():
        async with connect(f"{gate.websocket_origin}/ws/x") as client:
            return client.response_headers["Set-Cookie"]

    assert run(body()) == "node=a; Path=/"


def test_an_upstream_over_tls(gate):
    async def body():
        async with connect(f"{gate.websocket_origin}/secure/x") as client:
            await client.recv()
            message = os.urandom(1 << 20)
            await client.send(message)
            return await client.recv() == message

    assert run(body())


# Refusals


def refusal(url, **options):
    async def body():
        with pytest.raises(websockets.InvalidStatusCode) as caught:
            async with connect(url, **options):
                pass
        return caught.value

    return run(body())


def test_an_upstreams_refusal_is_the_clients(gate):
    refused = refusal(f"{gate.websocket_origin}/ws/refused")
    assert refused.status_code == 403 and refused.headers["X-Why"] == "because"


def test_an_upstream_out_of_reach_is_502(gate):
    assert refusal(f"{gate.websocket_origin}/nobody/x").status_code == 502


def test_an_upstream_that_accepts_what_was_not_asked_is_502(gateway):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def answer():
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                client.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n")
                client.recv(1)

        thread = threading.Thread(target=answer)
        thread.start()
        gate = gateway(PLUGINS="proxy", PROXY_ROUTES=f"/=http://127.0.0.1:{listener.getsockname()[1]}")
        assert refusal(f"{gate.websocket_origin}/x").status_code == 502
        thread.join(PATIENCE)


def test_an_origin_that_is_not_allowed_does_not_reach_the_upstream(gateway, plain):
    gate = gateway(
        PLUGINS="proxy", PROXY_ROUTES=f"/plain={plain.origin}", ALLOWED_ORIGINS="https://app.example",
        PROXY_REQUIRE_TOKEN="true")
    url = f"{gate.websocket_origin}/plain/x?token={tokens.mint()}"
    assert refusal(url, origin="https://evil.example").status_code == 403
    assert gate.total("gateway_proxy_upstream_requests_total") == 0


def test_a_token_among_the_subprotocols_stays_here(gateway, python):
    gate = gateway(PLUGINS="proxy", PROXY_ROUTES=f"/ws={python.origin}", PROXY_REQUIRE_TOKEN="true")
    url = f"{gate.websocket_origin}/ws/x"
    assert refusal(url).status_code == 401

    async def body():
        async with connect(url, subprotocols=["bearer", tokens.mint(), "v1.app"]) as client:
            headers = {name.lower(): value for name, value in json.loads(await client.recv())["headers"]}
            assert client.subprotocol == "v1.app"
            return headers["sec-websocket-protocol"]

    assert run(body()) == "v1.app"


# Time


def test_both_sides_have_a_heartbeat(gate, plain):
    pings = plain.pings

    async def body():
        heard = asyncio.Event()
        count = 0

        class Counting(websockets.WebSocketClientProtocol):
            async def pong(self, data=b""):
                nonlocal count
                count += 1
                await super().pong(data)
                if count >= 3:
                    heard.set()

        async with connect(f"{gate.websocket_origin}/plain/x", create_protocol=Counting) as client:
            await client.recv()
            await heard.wait()
            await client.send("still here")
            return await client.recv()

    assert run(body()) == "still here"
    assert plain.pings >= pings + 2


def test_a_silent_upstream_is_given_up(gateway):
    """It accepts, and answers no ping."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        told = threading.Event()

        def answer():
            client, _ = listener.accept()
            with client:
                head = client.recv(65536)
                key = next(line[19:] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key: "))
                from websockets.utils import accept_key

                client.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Accept: " + accept_key(key.decode()).encode() + b"\r\n\r\n")
                told.wait(PATIENCE)

        thread = threading.Thread(target=answer)
        thread.start()
        gate = gateway(
            PLUGINS="proxy", PROXY_ROUTES=f"/=http://127.0.0.1:{listener.getsockname()[1]}", PING_INTERVAL=100,
            PONG_TIMEOUT=100, MAX_MISSED_PONGS=2)

        async def body():
            async with connect(f"{gate.websocket_origin}/x") as client:
                with pytest.raises(websockets.ConnectionClosed):
                    await client.recv()
                return client.close_code

        try:
            assert run(body()) == 1014
        finally:
            told.set()
            thread.join()


# Ends


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 3000, 4999])
def test_the_upstreams_close_code_reaches_the_client(code, gate):
    async def body():
        async with connect(f"{gate.websocket_origin}/plain/x") as client:
            await client.recv()
            await client.send(f"close {code}")
            with pytest.raises(websockets.ConnectionClosed):
                await client.recv()
            return client.close_code, client.close_reason

    assert run(body()) == (code, "as you wish")


def test_a_close_without_a_code_stays_one(gate, plain):
    async def body():
        async with connect(f"{gate.websocket_origin}/plain/x") as client:
            await client.recv()
            await client.send("close")
            with pytest.raises(websockets.ConnectionClosed):
                await client.recv()
            return client.close_code

    assert run(body()) == 1005


@pytest.mark.parametrize("code", [1000, 1001, 4001])
def test_the_clients_close_code_reaches_the_upstream(code, gate, plain):
    before = len(plain.closes)

    async def body():
        async with connect(f"{gate.websocket_origin}/plain/x") as client:
            await client.recv()
            await client.close(code, "bye")

    run(body())
    assert until(lambda: plain.closes[before:], "the upstream's close") == [f"{code} bye"]


def test_a_client_that_vanishes_closes_the_upstream_with_1001(gate, plain):
    before = len(plain.closes)

    async def body():
        client = await connect(f"{gate.websocket_origin}/plain/x")
        await client.recv()
        client.transport.abort()

    run(body())
    assert until(lambda: plain.closes[before:], "the upstream's close")[0].startswith("1001")


def test_an_upstream_connection_that_breaks_closes_the_client_with_1014(gate):
    async def body():
        async with connect(f"{gate.websocket_origin}/plain/x") as client:
            await client.recv()
            await client.send("die")
            with pytest.raises(websockets.ConnectionClosed):
                await client.recv()
            return client.close_code

    assert run(body()) == 1014


def test_an_upstream_that_is_killed_takes_its_sockets_along_and_new_ones_go_elsewhere(gateway, tmp_path):
    servers = [NodeEcho(tmp_path / str(number)) for number in range(2)]
    gate = gateway(PLUGINS="proxy", PROXY_ROUTES=f"/={servers[0].origin}|{servers[1].origin}")

    async def body():
        clients = [await connect(f"{gate.websocket_origin}/x") for _ in range(20)]
        hosts = [json.loads(await client.recv())["headers"]["host"] for client in clients]
        assert {hosts.count(f"127.0.0.1:{server.port}") for server in servers} == {10}
        servers[0].popen.kill()
        for client, host in zip(clients, hosts):
            if host.endswith(str(servers[0].port)):
                with pytest.raises(websockets.ConnectionClosed):
                    await client.recv()
                assert client.close_code == 1014
            else:
                await client.send("on")
                assert await client.recv() == "on"
        for _ in range(10):
            async with connect(f"{gate.websocket_origin}/x") as client:
                assert json.loads(await client.recv())["headers"]["host"].endswith(str(servers[1].port))
        await asyncio.gather(*(client.close() for client in clients))

    try:
        run(body())
        assert gate.total("gateway_proxy_retries_total") >= 1
    finally:
        for server in servers:
            server.stop()


def test_a_drain_closes_both_sides_with_1001(gateway, plain):
    gate = gateway(PLUGINS="proxy", PROXY_ROUTES=f"/plain={plain.origin}", DRAIN_JITTER="500ms")
    before = len(plain.closes)

    async def body():
        clients = [await connect(f"{gate.websocket_origin}/plain/x") for _ in range(20)]
        for client in clients:
            await client.recv()
            await client.send("last words")
        gate.popen.send_signal(signal.SIGTERM)
        for client in clients:
            assert await client.recv() == "last words"
            with pytest.raises(websockets.ConnectionClosed):
                await client.recv()
        return {client.close_code for client in clients}

    assert run(body()) == {1001}
    assert gate.wait(PATIENCE) == 0
    until(lambda: len(plain.closes) == before + 20, "the upstream's closes")
    assert {line.split()[0] for line in plain.closes[before:]} == {"1001"}


# Much


def test_a_hundred_sockets_at_once(gate, plain):
    async def one(number):
        async with connect(f"{gate.websocket_origin}/plain/{number}") as client:
            assert json.loads(await client.recv())["url"] == f"/plain/{number}"
            for turn in range(20):
                message = f"{number}.{turn} " * 100
                await client.send(message)
                assert await client.recv() == message

    async def body():
        await asyncio.gather(*(one(number) for number in range(100)))

    run(body())
    until(lambda: gate.total("gateway_proxy_sockets_open") == 0, "all sockets to be counted as closed")


def test_a_reader_that_stops_stops_the_upstream_and_loses_nothing(gate):
    """64 MiB go in before any is read back: far more than any buffer on the way."""
    message = os.urandom(1 << 20)

    async def body():
        async with connect(f"{gate.websocket_origin}/plain/x", max_queue=1, compression=None) as client:
            await client.recv()

            sent = 0

            async def talk():
                nonlocal sent
                for _ in range(64):
                    await client.send(message)
                    sent += 1

            async def settled():
                before = -1
                while sent == 0 or sent != before:
                    before = sent
                    await asyncio.sleep(0.1)

            talking = asyncio.create_task(talk())
            await asyncio.wait_for(settled(), PATIENCE)
            for _ in range(64):
                assert await client.recv() == message
            await talking

    run(body())
    with open(f"/proc/{gate.pid}/status") as status:
        peak = int(next(line for line in status if line.startswith("VmHWM")).split()[1])
    assert peak < 150_000


def test_a_message_beyond_the_limit_closes_with_1009_and_the_upstream_hears_of_it(gate, plain):
    before = len(plain.closes)

    async def body():
        async with connect(f"{gate.websocket_origin}/plain/x", compression=None) as client:
            await client.recv()
            with pytest.raises(websockets.ConnectionClosed):
                await client.send(bytes(3 << 20))
                await client.recv()
            return client.close_code

    assert run(body()) == 1009
    # The close of an earlier test may come in late.
    until(lambda: any(each.startswith("1009") for each in plain.closes[before:]), "the upstream's close")
