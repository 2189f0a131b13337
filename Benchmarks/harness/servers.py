"""The servers that are compared. Each runs in a directory of its own, on a free loopback port, on the server core."""

import base64
import hashlib
import hmac
import json
import os
import random
import signal
import socket
import string
import subprocess
import time
from pathlib import Path

from .machine import Failure, anonymous_memory, cpu_time, free_port, resident_memory

PEERS = Path(__file__).resolve().parent.parent / "peers"
KEPT_CONNECTIONS = 64  # idle ones to an origin, on every side
SPLICED = 64 * 1024    # bodies from here on may go past haproxy's memory


class Server:
    """A server process; use it in a `with`. What differs between servers is `command` and a few names."""

    name = "server"
    path = "/echo"
    token = None
    tls = False
    stop_signal = signal.SIGTERM
    patience = 10  # seconds for the start
    logs_access = False  # one line for each request, which are counted

    def __init__(self, lab, origin=None):
        self.core = lab.server_core
        self.wrapper = []  # a tool to run it under
        self.certificate = lab.certificate
        self.origin = origin
        self.directory = lab.directory(self.name)
        if origin:
            self.path = origin.path
        self.port = free_port()
        self.log = self.directory / "output.log"
        self.access_log = self.log

    def command(self):
        raise NotImplementedError

    def environment(self):
        """Nothing is inherited but the search path, so that a shell's settings cannot change a result."""
        return {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}

    def launch(self):
        """Starts it and does not wait for it."""
        command = ["taskset", "-c", str(self.core), *self.wrapper, *self.command()]
        environment = self.environment()
        with open(self.log, "ab") as log:
            self.launched = time.monotonic()
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=self.directory)

    def __enter__(self):
        self.launch()
        try:
            self.wait_until_listening(self.patience)
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

    def seconds_to_answer(self, path, limit=10):
        """From its launch to the first 200 for `path`."""
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
        while (passed := time.monotonic() - self.launched) < limit:
            self.must_run()
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    connection.sendall(request)
                    if connection.recv(65_536).startswith(b"HTTP/1.1 200 "):
                        return time.monotonic() - self.launched
            except OSError:
                pass
            time.sleep(0.0002)
        raise Failure(f"it did not answer {path} with 200 within {passed:.0f} s: {self.last_words()}")

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

    def resident(self):
        self.settle()
        return self.read(resident_memory)

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
    logs_access = True
    secret = "benchmarks-only-0123456789abcdef0123456789abcdef"
    issuer = "https://issuer.invalid/auth/v1"
    audience = "authenticated"

    def __init__(self, lab, origin=None):
        super().__init__(lab, origin)
        self.binary = lab.gateway
        self.wrapper = lab.gateway_wrapper
        self.patience = lab.gateway_patience
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
        } | self.cipher() | self.forwarding()

    def cipher(self):
        if not self.tls:
            return {}
        return {"TLS_CERTIFICATE": str(self.certificate.chain), "TLS_KEY": str(self.certificate.key)}

    def forwarding(self):
        if not self.origin:
            return {}
        return {
            "PLUGINS": "echo,proxy",
            "PROXY_ROUTES": f"{self.origin.path}=http://127.0.0.1:{self.origin.port}",
            "UPSTREAM_IDLE_CONNECTIONS": str(KEPT_CONNECTIONS),
        }

    def mint(self, **more):
        """A token that outlives any run (HS256, RFC 7519), with these claims besides."""
        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=")

        now = int(time.time())
        claims = {"iss": self.issuer, "aud": self.audience, "sub": "load", "role": "authenticated",
                  "iat": now, "exp": now + 86_400} | more
        signed = b".".join(part(json.dumps(piece).encode()) for piece in ({"alg": "HS256", "typ": "JWT"}, claims))
        signature = hmac.new(self.secret.encode(), signed, hashlib.sha256).digest()
        return (signed + b"." + part(signature)).decode()


class GatewayTLS(Gateway):
    tls = True


class GatewayWithEverything(Gateway):
    """All plugins that the binary names, each with the least that it asks for."""

    def environment(self):
        listed = subprocess.run(
            [*self.command()[:1], "plugins"], capture_output=True, text=True, timeout=30, env=super().environment())
        names = [line.split()[0] for line in listed.stdout.splitlines() if line and not line[0].isspace()]
        if listed.returncode != 0 or not names:
            raise Failure(f"`gateway plugins` names none: {listed.stderr.strip()}")
        self.plugins = names
        return super().environment() | {
            "PLUGINS": ",".join(names),
            "PROXY_ROUTES": "/api=http://127.0.0.1:9",
            "HLS_ALLOWED_ORIGINS": "https://cdn.example",
            "SAMPLE_PORT": str(free_port()),
        }


class Nginx(Server):
    """One worker that writes Debian's access log format, buffered. It answers from its configuration, or forwards."""

    name = "nginx"
    stop_signal = signal.SIGQUIT  # writes out the buffered log
    logs_access = True

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
    access_log {self.access()};
    keepalive_requests 1000000000;
    {self.upstream()}
    server {{
        listen 127.0.0.1:{self.port}{" ssl" if self.tls else ""} backlog=4096;
        {self.cipher()}
        {self.location()}
    }}
}}
"""

    def access(self):
        return f"{self.access_log} combined buffer=64k flush=1s"

    def cipher(self):
        if not self.tls:
            return ""
        # The gateway sends one ticket too; what else there is to choose, the load generator's offer decides.
        return f"""
        ssl_certificate {self.certificate.chain};
        ssl_certificate_key {self.certificate.key};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_conf_command NumTickets 1;
"""

    def upstream(self):
        if not self.origin:
            return ""
        return f"""
    upstream origin {{
        server 127.0.0.1:{self.origin.port};
        keepalive {KEPT_CONNECTIONS};
        keepalive_requests 1000000000;
    }}
"""

    def location(self):
        if not self.origin:
            return 'location = /echo { default_type text/plain; return 200 "ok"; }'
        return f"""location = {self.path} {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}"""


class NginxTLS(Nginx):
    tls = True


class Origin(Nginx):
    """What proxies forward to: a body of a known size, on the load's core, not counted and without a log."""

    name = "origin"
    path = "/body"
    memory_limit = 16 * 1024  # larger ones are sent from a file

    def __init__(self, lab, size):
        super().__init__(lab)
        self.core = lab.load_core
        self.size = size
        self.pattern = body_pattern()
        self.pattern_file = self.directory / "pattern"
        self.pattern_file.write_bytes(self.pattern)
        if size > self.memory_limit:
            self.write_body(self.directory / self.path.lstrip("/"))

    def write_body(self, path):
        path.parent.mkdir(exist_ok=True)
        with open(path, "wb") as file:
            for start in range(0, self.size, len(self.pattern)):
                file.write(self.pattern[:self.size - start])

    def access(self):
        return "off"

    def location(self):
        place = "default_type text/plain;"
        if self.size <= self.memory_limit:
            return f'location = {self.path} {{ {place} return 200 "{self.pattern[:self.size].decode()}"; }}'
        return f"""location = {self.path} {{
            {place}
            root {self.directory};
            sendfile on;
            sendfile_max_chunk 1m;
            tcp_nopush on;
            open_file_cache max=4;
        }}"""


def body_pattern():
    """Letters whose number is a prime, so that a body with a buffer too few or too many differs."""
    dice = random.Random(0x5EED)
    return "".join(dice.choices(string.ascii_lowercase, k=65_537)).encode()


class HAProxy(Server):
    """One thread. Its log lines go into a ring that is a file: it has no buffered log of another kind."""

    name = "haproxy"

    def command(self):
        config = self.directory / "haproxy.cfg"
        config.write_text(self.config())
        return ["/usr/sbin/haproxy", "-db", "-f", str(config)]

    def environment(self):
        return super().environment() | {"HOME": str(self.directory)}

    def config(self):
        cipher = f" ssl crt {self.certificate.both}" if self.tls else ""
        return f"""
global
    nbthread 1
    maxconn 4096
    log ring@requests local0
defaults
    mode http
    log global
    option httplog
    {self.splicing()}
    http-reuse always
    timeout connect 10s
    timeout client 60s
    timeout server 60s
ring requests
    format raw
    maxlen 1024
    size 1048576
    backing-file {self.directory}/ring
frontend clients
    bind 127.0.0.1:{self.port}{cipher} backlog 4096
    default_backend origin
backend origin
    option forwardfor
    server origin 127.0.0.1:{self.origin.port} pool-max-conn {KEPT_CONNECTIONS}
"""


    def splicing(self):
        # `splice-auto` alone waits for a kind of stream that 2.6 never sees in HTTP; strace shows no splice(2) then.
        return "option splice-auto\n    option splice-response" if self.origin.size >= SPLICED else ""


class HAProxyTLS(HAProxy):
    tls = True


class NodeWS(Server):
    """Debian's node-ws, an echo server of a dozen lines."""

    name = "node ws"
    path = "/"
    deflate = False

    def command(self):
        mode = ["deflate"] if self.deflate else []
        cipher = ["tls", str(self.certificate.chain), str(self.certificate.key)] if self.tls else []
        return ["node", "--expose-gc", str(PEERS / "echo.js"), str(self.port), *mode, *cipher]

    def environment(self):
        # Debian's modules are not on the path of a nodejs from elsewhere.
        return super().environment() | {"NODE_PATH": "/usr/share/nodejs:/usr/lib/nodejs"}

    def settle(self):
        self.process.send_signal(signal.SIGUSR2)  # collect the garbage
        time.sleep(0.5)


class NodeWSDeflate(NodeWS):
    """The same with permessage-deflate, no takeover in either direction."""

    deflate = True


class NodeWSTLS(NodeWS):
    """The same behind node's https server."""

    tls = True
