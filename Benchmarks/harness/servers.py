"""The servers that are compared. Each runs in a directory of its own, on a free loopback port, on the server core."""

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from .machine import Failure, anonymous_memory, cpu_time, free_port

PEERS = Path(__file__).resolve().parent.parent / "peers"


class Server:
    """A server process; use it in a `with`. What differs between servers is `command` and a few names."""

    name = "server"
    path = "/echo"
    token = None
    stop_signal = signal.SIGTERM

    def __init__(self, lab):
        self.core = lab.server_core
        self.directory = lab.directory(self.name)
        self.port = free_port()
        self.log = self.directory / "output.log"
        self.access_log = self.log

    def command(self):
        raise NotImplementedError

    def environment(self):
        """Nothing is inherited but the search path, so that a shell's settings cannot change a result."""
        return {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}

    def __enter__(self):
        command = self.command()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(self.core), *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment(), cwd=self.directory)
        try:
            self.wait_until_listening(10)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_until_listening(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failure(f"it ended with exit code {self.process.returncode}: {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Failure(f"it did not listen on port {self.port} within {seconds} s: {self.last_words()}")

    def last_words(self):
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "it said nothing"

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def cpu(self):
        return self.read(cpu_time)

    def memory(self):
        """The least of three readings: what is still on its way to being freed does not count, on any side."""
        readings = []
        for _ in range(3):
            self.must_run()
            self.settle()
            readings.append(self.read(anonymous_memory))
        return min(readings)

    def settle(self):
        time.sleep(0.3)

    def read(self, meter):
        self.must_run()
        try:
            return meter(self.process.pid)
        except OSError as error:
            raise Failure(f"its figures in /proc cannot be read: {error}") from error

    def must_run(self):
        if self.process.poll() is not None:
            raise Failure(f"it ended with exit code {self.process.returncode}: {self.last_words()}")

    def access_lines(self):
        """Lines in the access log. Call it after the stop, when all is written."""
        lines = 0
        with open(self.access_log, "rb") as log:
            while block := log.read(1 << 20):
                lines += block.count(b"\n")
        return lines


class Gateway(Server):
    """One loop, the whole middleware chain, auth, heartbeat, metrics and access log on, as it ships."""

    name = "gateway"
    secret = "benchmarks-only-0123456789abcdef0123456789abcdef"
    issuer = "https://issuer.invalid/auth/v1"
    audience = "authenticated"

    def __init__(self, lab, settings=None):
        super().__init__(lab)
        self.binary = lab.gateway
        self.settings = settings or {}
        self.token = self.mint()

    def command(self):
        if not os.access(self.binary, os.X_OK):
            raise Failure(
                f"there is no program {self.binary}: run `swift build -c release --static-swift-stdlib` "
                "or name one in GATEWAY_BINARY")
        return [str(self.binary), "serve"]

    def environment(self):
        return super().environment() | {
            "WEBSOCKET_PORT": str(self.port),
            "LISTEN_ADDRESS": "127.0.0.1",
            "OPS_LISTEN": f"127.0.0.1:{free_port()}",
            "PLUGINS": "echo",
            "LOOPS": "1",
            "LOG_LEVEL": "info",
            "MAX_CONNECTIONS": "15000",
            "STATE_DIRECTORY": str(self.directory),
            "SUPABASE_JWT_SECRET": self.secret,
            "SUPABASE_AUTH_ISSUER": self.issuer,
            "SUPABASE_AUTH_AUDIENCE": self.audience,
        } | self.settings

    def mint(self):
        """A token that outlives any run (HS256, RFC 7519)."""
        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=")

        now = int(time.time())
        claims = {"iss": self.issuer, "aud": self.audience, "sub": "load", "role": "authenticated",
                  "iat": now, "exp": now + 86_400}
        signed = b".".join(part(json.dumps(piece).encode()) for piece in ({"alg": "HS256", "typ": "JWT"}, claims))
        signature = hmac.new(self.secret.encode(), signed, hashlib.sha256).digest()
        return (signed + b"." + part(signature)).decode()


class Nginx(Server):
    """One worker that answers from its configuration and writes Debian's access log format, buffered."""

    name = "nginx"
    stop_signal = signal.SIGQUIT  # writes out the buffered log
    locations = 'location = /echo { default_type text/plain; return 200 "ok"; }'

    def command(self):
        self.access_log = self.directory / "access.log"
        config = self.directory / "nginx.conf"
        config.write_text(self.config())
        program = "/usr/sbin/nginx"
        return [program, "-p", str(self.directory), "-e", str(self.log), "-c", str(config)]

    def config(self):
        places = "\n".join(
            f"    {kind}_temp_path {self.directory}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        owner = "user root;" if os.geteuid() == 0 else ""
        return f"""
{owner}
daemon off;
worker_processes 1;
pid {self.directory}/nginx.pid;
error_log {self.log} warn;
events {{ worker_connections 16384; }}
http {{
{places}
    access_log {self.access_log} combined buffer=64k flush=1s;
    keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{self.port} backlog=4096;
        {self.locations}
    }}
}}
"""


class NodeWS(Server):
    """Debian's node-ws, an echo server of a dozen lines."""

    name = "node ws"
    path = "/"
    deflate = False

    def command(self):
        mode = ["deflate"] if self.deflate else []
        return ["node", "--expose-gc", str(PEERS / "echo.js"), str(self.port), *mode]

    def environment(self):
        # Debian's modules are not on the path of a nodejs from elsewhere.
        return super().environment() | {"NODE_PATH": "/usr/share/nodejs:/usr/lib/nodejs"}

    def settle(self):
        self.process.send_signal(signal.SIGUSR2)  # collect the garbage
        time.sleep(0.5)


class NodeWSDeflate(NodeWS):
    """The same with permessage-deflate, no takeover in either direction."""

    deflate = True
