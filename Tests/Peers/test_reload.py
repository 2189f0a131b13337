"""New settings for a running gateway: SIGHUP, `gateway plan` and `gateway reload`, under load."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import stat

import pytest
from clients import PATIENCE
from harness import tokens
from harness.gateway import binary
from harness.processes import bare_environment, free_port, run
from harness.sockets import NodeEcho
from harness.waiting import until

#: What may change, and so stands in the file rather than in the environment.
IN_FILE = {
    "PLUGINS": "echo,proxy", "PROXY_ROUTES": "/api=http://127.0.0.1:9",
    "SUPABASE_AUTH_AUDIENCE": tokens.AUDIENCE, "DRAIN_JITTER": "300ms",
}


@pytest.fixture
def reloadable(gateway, tmp_path):
    """`reloadable(NAME=…)` starts a gateway with these settings in a file; `.write(NAME=…)` changes the file."""

    def start(**settings):
        file = tmp_path / "gateway.env"

        def write(**changes):
            lines = [f'{name}="{value}"\n' for name, value in (IN_FILE | settings | changes).items() if value is not None]
            file.write_text("# written by a test\n" + "".join(lines))

        write()
        nothing = {name: None for name in IN_FILE}
        process = gateway(arguments=("serve", "--env-file", file), **nothing)
        process.write = write
        process.file = file
        return process

    return start


def command(process, *arguments):
    """A command of the program, as the gateway's operator would give it."""
    environment = bare_environment(process.folder) | {"STATE_DIRECTORY": process.settings["STATE_DIRECTORY"]}
    return run([binary(), *arguments], environment=environment, check=False)


def generation(process):
    return process.total("gateway_settings_generation")


def hang_up(process):
    """Sends SIGHUP and returns when the settings are applied."""
    before = generation(process)
    process.popen.send_signal(signal.SIGHUP)
    until(lambda: generation(process) > before, "the next generation")


class Socket:
    """A WebSocket that stays until it is told to go, and then says by which code and reason."""

    @classmethod
    async def open(cls, process, path):
        self = cls()
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", process.port)
        self.writer.write(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        return self

    async def frame(self):
        """The next frame that is no ping: opcode and payload."""
        while True:
            first, length = await self.reader.readexactly(2)
            if length == 126:
                length = int.from_bytes(await self.reader.readexactly(2), "big")
            payload = await self.reader.readexactly(length)
            if first & 15 != 9:
                return first & 15, payload
            self.send(10, payload)

    def send(self, opcode, payload):
        self.writer.write(bytes([0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload)

    async def echoes(self):
        self.send(1, b"still here")
        return await self.frame() == (1, b"still here")

    async def farewell(self):
        opcode, payload = await self.frame()
        assert opcode == 8, (opcode, payload)
        self.send(8, payload[:2])
        assert await self.reader.read() == b""
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    def close(self):
        self.writer.close()


class Load:
    """Clients that ask without a pause: kept-alive ones, and ones that connect anew each time."""

    def __init__(self, process, count=12):
        self.process = process
        self.served = 0
        self.is_over = False
        self.tasks = [asyncio.create_task(self.client(number % 3 == 0)) for number in range(count)]

    async def client(self, is_fresh):
        writer = None
        while not self.is_over:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.process.port)
            writer.write(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            assert await reader.readexactly(2) == b"ok"
            self.served += 1
            if is_fresh or b"connection: close" in head.lower():
                writer.close()
                writer = None
            await asyncio.sleep(0.002)
        if writer:
            writer.close()

    async def go_on(self):
        """Returns when every client has been served some more."""
        goal = self.served + 3 * len(self.tasks)
        while self.served < goal:
            for task in self.tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.005)

    async def end(self):
        self.is_over = True
        await asyncio.gather(*self.tasks)


#: The changes, one after another, what the plan must announce, and whose sockets go. Those come back before the next.
STEPS = [
    ({"PING_INTERVAL": "25s"}, "200 sockets kept, 0 closed", []),
    ({"PLUGINS": "echo,hls,proxy"}, "200 sockets kept, 0 closed", []),
    ({"SUPABASE_AUTH_AUDIENCE": f"{tokens.AUDIENCE},others"}, "100 sockets kept, 100 closed: /echo auth changed", ["echo"]),
    ({"PROXY_RETRIES": "3"}, "100 sockets kept, 100 closed: /api/{path...} plugin proxy changed", ["api"]),
    ({"MAX_CONNECTIONS": "2000"}, "200 sockets kept, 0 closed", []),
    ({"MAX_FRAME_SIZE": "2MiB"}, "0 sockets kept, 200 closed: /api/{path...} limits changed (100), "
     "/echo limits changed (100)", ["api", "echo"]),
    ({"PLUGINS": "echo"}, "100 sockets kept, 100 closed: /api/{path...} plugin proxy removed", ["api"]),
]


def test_under_load_no_request_is_lost_and_sockets_close_as_planned(reloadable, tmp_path):
    with contextlib.ExitStack() as stack:
        upstream = NodeEcho(tmp_path / "upstream")
        stack.callback(upstream.stop)
        process = reloadable(PROXY_ROUTES=f"/api={upstream.origin}")
        asyncio.run(asyncio.wait_for(_change_everything(process), 60))


async def _change_everything(process):
    with contextlib.ExitStack() as stack:
        await _step_by_step(process, stack)


async def _step_by_step(process, stack):
    loop = asyncio.get_running_loop()
    paths = {"echo": f"/echo?token={tokens.mint()}", "api": "/api/socket"}

    async def connect(name):
        sockets = await asyncio.gather(*(Socket.open(process, paths[name]) for _ in range(100)))
        for each in sockets:
            stack.callback(each.close)
            # The upstream of these greets.
            if name == "api":
                await each.frame()
        return sockets

    groups = {name: await connect(name) for name in paths}
    load = Load(process)
    changes = {}
    for change, announced, going in STEPS:
        changes |= change
        process.write(**changes)
        planned = await loop.run_in_executor(None, command, process, "plan")
        assert planned.returncode == 0, planned
        assert planned.stdout.decode().splitlines()[0] == announced
        await load.go_on()
        await loop.run_in_executor(None, hang_up, process)
        for name in going:
            told = await asyncio.gather(*(each.farewell() for each in groups.pop(name)))
            (code, reason), = set(told)
            assert code == 1012 and reason.removeprefix("Service restart: ") in announced
        for sockets in groups.values():
            assert all(await asyncio.gather(*(each.echoes() for each in sockets)))
        await load.go_on()
        if change is not STEPS[-1][0]:
            for name in going:
                groups[name] = await connect(name)
    await load.end()
    assert load.served > 500


def test_a_request_under_way_finishes_although_its_plugin_is_gone(reloadable):
    """The first half of a body is echoed, the plugin is removed, and the second half is echoed all the same."""
    process = reloadable(PLUGINS="echo")
    body = bytes(range(256)) * 512
    with socket.create_connection(("127.0.0.1", process.port), timeout=PATIENCE) as client:
        client.sendall(f"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        client.sendall(body[:1000])
        answer = client.makefile("rb")
        assert answer.readline().startswith(b"HTTP/1.1 200")
        process.write(PLUGINS="")
        hang_up(process)
        assert process.get("/echo")[0] == 404
        client.sendall(body[1000:])
        while answer.readline().strip():
            pass
        assert answer.read(len(body)) == body
        client.sendall(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer.readline().startswith(b"HTTP/1.1 404")


def test_what_is_wrong_is_said_and_changes_nothing(reloadable):
    process = reloadable()
    process.write(PING_INTERVAL="soon", MAX_FRAME_SIZE="huge")
    for name in ("plan", "reload"):
        done = command(process, name)
        assert done.returncode == 78
        assert b"PING_INTERVAL" in done.stdout and b"MAX_FRAME_SIZE" in done.stdout
    process.popen.send_signal(signal.SIGHUP)
    until(lambda: process.total("gateway_settings_reloads_total", result="refused") == 2, "the refusal")
    assert "settings not applied" in process.stdout
    process.file.write_text("PING_INTERVAL 30s\n")
    done = command(process, "plan")
    assert done.returncode == 78 and f"{process.file}: line 1".encode() in done.stdout
    assert generation(process) == 1
    assert process.get("/echo")[0] == 200


def test_a_port_that_is_taken_refuses_the_change_and_a_free_one_moves(reloadable):
    process = reloadable()
    environment = command(process, "config", "--env-file", process.file).stdout.decode()
    assert "PROXY_ROUTES=" in environment
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]
        process.write(SAMPLE_PORT=taken, PLUGINS="echo,sample")
        refused = command(process, "reload")
        assert refused.returncode == 78 and str(taken).encode() in refused.stdout
        assert process.get("/echo")[0] == 200
    port = free_port()
    process.write(SAMPLE_PORT=port, PLUGINS="echo,sample")
    done = command(process, "reload")
    assert done.returncode == 0 and f"port opened: sample 127.0.0.1:{port}".encode() in done.stdout
    assert socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    process.write(PLUGINS="echo")
    assert f"port closed: sample 127.0.0.1:{port}".encode() in command(process, "reload").stdout
    until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) != 0, "the port to close")


def test_no_secret_is_told(reloadable, tmp_path):
    process = reloadable()
    secret = "a metrics token that nobody may read"
    file = tmp_path / "metrics-token"
    file.write_text(secret)
    process.write(METRICS_TOKEN_FILE=file)
    done = command(process, "reload")
    assert b"METRICS_TOKEN: unset -> <secret>" in done.stdout
    assert process.get("/metrics", headers={"Authorization": f"Bearer {secret}"})[0] == 200
    # The file alone changes: read again, noticed, not shown.
    file.write_text(secret + " any more")
    done = command(process, "reload")
    assert b"METRICS_TOKEN: <secret> -> <secret>" in done.stdout
    assert process.get("/metrics", headers={"Authorization": f"Bearer {secret} any more"})[0] == 200
    assert secret not in process.stdout + process.stderr + done.stdout.decode()


def test_the_control_socket_is_its_owners_and_goes_with_the_process(reloadable):
    process = reloadable()
    path = process.folder / "state/control.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with socket.socket(socket.AF_UNIX) as asker:
        asker.connect(os.fspath(path))
        asker.sendall(b"nonsense\n")
        assert asker.makefile().read() == "64\nthere is no command nonsense"
    process.stop()
    assert not path.exists()
    done = command(process, "plan")
    assert done.returncode == 69 and b"CONTROL_SOCKET" in done.stderr


def test_what_the_environment_sets_wins_and_is_said(reloadable):
    process = reloadable()
    process.write(WEBSOCKET_PORT=free_port(), LOOPS=2)
    done = command(process, "plan")
    assert done.returncode == 0
    assert re.search(rb"warning: WEBSOCKET_PORT of .* has no effect", done.stdout)
    assert b"LOOPS changed: takes effect at the next start" in done.stdout
