"""Starting, watching and stopping a gateway, as an operator meets it."""

import asyncio
import signal
import socket

import pytest
from clients import PATIENCE
from harness import exposition, tokens
from harness.gateway import binary
from harness.processes import free_port, run
from harness.waiting import until

#: The drain is bounded under Kubernetes' default of 30 s between SIGTERM and SIGKILL.
DRAIN_BOUND = 30


# A start that fails


def refused(gateway, **settings):
    """The one line that a gateway says when it cannot start with `settings`."""
    process = gateway(wait=False, LOG_LEVEL="error", **settings)
    assert process.wait(15) not in (0, -signal.SIGSEGV, -signal.SIGILL, -signal.SIGTRAP, -signal.SIGABRT)
    lines = process.stderr.splitlines()
    assert len(lines) == 1, process.stderr
    return lines[0]


def test_a_port_in_use_stops_the_start_and_is_named(gateway):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        assert str(port) in refused(gateway, WEBSOCKET_PORT=port)


def test_an_operator_port_in_use_stops_the_start_and_is_named(gateway):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        assert str(port) in refused(gateway, OPS_LISTEN=f"127.0.0.1:{port}")


def test_an_address_of_another_machine_stops_the_start_and_its_setting_is_named(gateway):
    line = refused(gateway, LISTEN_ADDRESS="192.0.2.1")
    assert "192.0.2.1" in line and "LISTEN_ADDRESS" in line


def test_a_certificate_that_is_none_stops_the_start_and_is_named(gateway, certificate, tmp_path):
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n")
    assert str(broken) in refused(gateway, TLS_CERTIFICATE=broken, TLS_KEY=certificate.key)


def test_a_certificate_that_is_missing_stops_the_start_and_is_named(gateway, certificate, tmp_path):
    missing = tmp_path / "missing.pem"
    assert str(missing) in refused(gateway, TLS_CERTIFICATE=missing, TLS_KEY=certificate.key)


def test_a_certificate_without_a_key_stops_the_start(gateway, certificate):
    assert "TLS_KEY" in refused(gateway, TLS_CERTIFICATE=certificate.chain)


def test_a_key_of_another_certificate_stops_the_start(gateway, certificate, authority):
    other = authority.issue("other.test")
    line = refused(gateway, TLS_CERTIFICATE=certificate.chain, TLS_KEY=other.key)
    assert str(other.key) in line or str(certificate.chain) in line


def test_a_secret_without_issuer_and_audience_stops_the_start(gateway):
    assert "SUPABASE_AUTH_ISSUER" in refused(gateway, SUPABASE_AUTH_ISSUER=None, SUPABASE_AUTH_AUDIENCE=None)


def test_a_plugin_that_does_not_exist_stops_the_start_with_the_nearest_name(gateway):
    line = refused(gateway, PLUGINS="echo,proxi")
    assert "proxi" in line and "proxy" in line


def test_a_plugin_that_is_named_and_not_configured_stops_the_start(gateway):
    assert "proxy" in refused(gateway, PLUGINS="proxy").lower()


@pytest.mark.parametrize("name, value", [
    ("PING_INTERVAL", "soon"), ("MAX_FRAME_SIZE", "-1"), ("WEBSOCKET_PORT", "70000"), ("COMPRESSION_LEVEL", "10"),
])
def test_a_setting_out_of_its_range_stops_the_start_and_is_named(name, value, gateway):
    assert name in refused(gateway, **{name: value})


# Watching


@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz"])
def test_the_main_port_answers_probes_with_200(path, shared_gateway):
    assert shared_gateway().get(path)[0] == 200


def test_the_guides_probe_works_with_the_guides_settings(gateway):
    """Kubernetes sends no more than this."""
    with socket.create_connection(("127.0.0.1", gateway(PLUGINS=None).port), timeout=10) as probe:
        probe.sendall(
            b"GET /health HTTP/1.1\r\nHost: 10.0.0.7:3001\r\nUser-Agent: kube-probe/1.30\r\nConnection: close\r\n\r\n"
        )
        assert probe.makefile("rb").readline().split()[1] == b"200"


def test_the_operators_port_says_what_is_ready(shared_gateway):
    status, _, body = shared_gateway().get("/readyz", ops=True)
    assert status == 200 and body


def test_metrics_parse_and_count(gateway):
    process = gateway()
    before = process.metrics()
    for _ in range(3):
        assert process.get("/echo")[2].strip() == b"ok"
    after = process.metrics()
    name = "gateway_http_requests_total"
    assert exposition.total(after, name) - exposition.total(before, name) >= 3
    assert any(family.kind == "histogram" and family.samples for family in after.values())
    assert all(name.startswith("gateway_") for name in after)


@pytest.mark.parametrize("headers", [{}, {"Authorization": f"Bearer {tokens.mint()}"}], ids=["nobody", "a user"])
def test_metrics_on_the_main_port_are_for_admins(headers, shared_gateway):
    status, _, body = shared_gateway().get("/metrics", headers=headers)
    assert status in (401, 403)
    assert b"gateway_http" not in body


def test_no_token_reaches_a_log(gateway):
    process = gateway(LOG_LEVEL="trace")
    token = tokens.mint()
    assert process.get(f"/echo?token={token}")[0] == 200
    until(lambda: "/echo" in process.stdout + process.stderr, "the access log")
    assert token.rsplit(".", 1)[1] not in process.stdout + process.stderr


# Stopping


def test_sigterm_ends_an_idle_gateway_with_0(gateway):
    process = gateway(DRAIN_GRACE=None)
    process.terminate()
    assert process.wait(DRAIN_BOUND) == 0


def test_sigterm_completes_every_accepted_request(gateway):
    """Forty requests are half sent when the signal comes; all are answered in full. Sockets are told to go."""
    process = gateway(DRAIN_GRACE=None)
    assert asyncio.run(asyncio.wait_for(_drain(process), DRAIN_BOUND + PATIENCE)) == [True] * 40
    assert process.wait(DRAIN_BOUND) == 0


async def _drain(process):
    websocket, first_frame = await _open_websocket(process)
    uploads = [await _begin_upload(process) for _ in range(40)]
    process.terminate()
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, until, lambda: process.status("/readyz", ops=True) != 200, "readiness to go off")

    complete = await asyncio.gather(*(_finish_upload(*upload) for upload in uploads))
    frame = await first_frame
    assert frame[0] == 0x88 and int.from_bytes(frame[2:4], "big") in (1001, 1012), frame
    websocket.close()
    return list(complete)


_BODY = bytes(range(256)) * 512


async def _begin_upload(process):
    """Sends the first half and waits for an echo of its beginning: this request has been accepted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
    writer.write(f"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(_BODY)}\r\n\r\n".encode())
    writer.write(_BODY[: len(_BODY) // 2])
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return reader, writer, head.lower()


async def _finish_upload(reader, writer, head):
    """Whether the answer holds the whole body and its framing is complete."""
    writer.write(_BODY[len(_BODY) // 2 :])
    await writer.drain()
    if b"transfer-encoding: chunked" in head:
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        assert await reader.readline() == b"\r\n"
    else:
        body = await reader.readexactly(len(_BODY))
    writer.close()
    return body == _BODY


async def _open_websocket(process):
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
    writer.write(
        f"GET /echo?token={tokens.mint()} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101"), head
    return writer, asyncio.create_task(reader.readexactly(4))


def test_sigterm_under_load_answers_everybody_who_could_connect(gateway):
    """A new connection for each request: whoever was told that it stands is owed an answer."""
    process = gateway(LOOPS=2, DRAIN_GRACE=None)
    answers = asyncio.run(asyncio.wait_for(_connect_and_ask(process), DRAIN_BOUND + PATIENCE))
    assert sum(answers) > 100
    assert process.wait(DRAIN_BOUND) == 0


async def _connect_and_ask(process):
    """32 clients connect and ask until they are refused; each returns how many answers it got, or raises without one."""
    enough = asyncio.Event()

    async def client():
        count = 0
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
            except ConnectionRefusedError:
                return count
            writer.write(b"GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\nok"), answer
            count += 1
            if count == 20:
                enough.set()

    clients = [asyncio.create_task(client()) for _ in range(32)]
    await enough.wait()
    process.terminate()
    return await asyncio.gather(*clients)


def test_sigterm_under_load_cuts_no_answer_short(gateway):
    """Clients that never stop asking see whole answers, or a connection that closes before the first byte of one."""
    process = gateway(DRAIN_GRACE=None)
    answers = asyncio.run(asyncio.wait_for(_hammer(process), DRAIN_BOUND + PATIENCE))
    assert sum(answers) > 100
    assert process.wait(DRAIN_BOUND) == 0


async def _hammer(process):
    """32 clients ask until nobody answers; each returns how many whole answers it got, or raises on half a one."""
    started = asyncio.Event()

    async def ask(reader, writer):
        writer.write(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            await writer.drain()
            first = await reader.read(1)
        except ConnectionError:
            return None
        if not first:
            return None
        # From here on the answer is owed in full: anything missing raises.
        head = first + await reader.readuntil(b"\r\n\r\n")
        assert head.split()[1] in (b"200", b"503"), head
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        await reader.readexactly(int(fields[b"content-length"]))
        return fields.get(b"connection") != b"close"

    async def client():
        count = 0
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
            except ConnectionError:
                return count
            keep = True
            while keep:
                keep = await ask(reader, writer)
                count += keep is not None
                if count == 20:
                    started.set()
            writer.close()
            if process.exit_code is not None:
                return count

    clients = [asyncio.create_task(client()) for _ in range(32)]
    await started.wait()
    process.terminate()
    return await asyncio.gather(*clients)


# The commands


def command(settings, *arguments):
    return run([binary(), *arguments], environment={"PATH": "/usr/bin:/bin"} | settings, check=False)


def test_check_accepts_good_settings_and_names_a_bad_one(gateway):
    settings = gateway().settings
    assert command(settings | {"WEBSOCKET_PORT": str(free_port())}, "check").returncode == 0
    bad = command(settings | {"PING_INTERVAL": "soon"}, "check")
    assert bad.returncode != 0 and b"PING_INTERVAL" in bad.stdout + bad.stderr


@pytest.mark.parametrize("name, words", [
    ("plugins", ["echo", "hls", "proxy"]), ("config", ["PING_INTERVAL", "PLUGINS", "WEBSOCKET_PORT"]),
])
def test_a_command_lists(name, words, gateway):
    done = command(gateway().settings, name)
    assert done.returncode == 0
    assert all(word in done.stdout.decode() for word in words)


@pytest.mark.parametrize("arguments, words", [
    (["check", "--env-flie", "x"], b"check cannot be told --env-flie x"),
    (["config", "--refrence"], b"config cannot be told --refrence"),
    (["plan", "now"], b"plan cannot be told now"),
    (["serve", "--development"], b"serve cannot be told --development"),
    (["relaod"], b"did you mean reload?"),
], ids=["option of check", "option of config", "argument", "option of serve", "command"])
def test_a_command_refuses_what_it_does_not_know(arguments, words):
    done = command({}, *arguments)
    assert done.returncode == 64 and words in done.stderr


@pytest.mark.parametrize("name", ["serve", "check", "plan", "config"])
def test_a_command_that_is_asked_for_help_only_helps(name):
    done = command({}, name, "--help")
    assert done.returncode == 0 and b"gateway reload" in done.stdout


def test_token_takes_settings_from_a_file(tmp_path):
    file = tmp_path / "settings.env"
    file.write_text(f"SUPABASE_JWT_SECRET={tokens.SECRET}\nSUPABASE_AUTH_ISSUER=here\nSUPABASE_AUTH_AUDIENCE=us\n")
    minted = command({}, "token", "mint", "--env-file", file)
    explained = command({"GATEWAY_ENV_FILE": str(file)}, "token", "explain", minted.stdout.decode().strip())
    assert (minted.returncode, explained.returncode) == (0, 0), minted.stderr + explained.stdout


def test_config_prints_lists_as_they_are_set():
    networks = {"TRUSTED_PROXIES": "10.0.0.0/8,192.0.2.7/32", "ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8,fd00::/8"}
    lines = command(networks, "config").stdout.decode().splitlines()
    assert [line for line in lines if line.split("=")[0] in networks] == [
        f"{name}={value}  # environment" for name, value in networks.items()]


def test_config_prints_no_secret(gateway):
    done = command(gateway().settings, "config")
    assert tokens.SECRET.encode() not in done.stdout + done.stderr
