"""What leads to a server behind a tunnel: each passage with its processes, on a free loopback port.

The target stands on the load's core and is not counted. All that a passage starts runs on the server core and is: both
ends of a tunnel, since what one saves the other may pay. `ends` tells them apart.
"""

import http.client
import json
import os
import pwd
import ssl
import subprocess
import time
from pathlib import Path

from .machine import Failure, free_port
from .servers import Gateway, Nginx, Server

TESTS = Path(__file__).resolve().parents[2] / "Tests" / "Peers"
AGENT = "desk"


class End(Server):
    """One process of a passage; its port may be another's."""

    def __init__(self, lab, name, command, environment=None, port=None):
        self.name = name
        super().__init__(lab)
        self._command = command
        self._environment = environment or {}
        self.port = port or self.port

    def command(self):
        return [str(word) for word in self._command]

    def environment(self):
        return super().environment() | {"HOME": str(self.directory)} | self._environment


class Passage:
    """Use it in a `with`. `port` and `path` are where consumers ask for what `target` has at `path`."""

    name = "passage"
    token = None
    tls = False
    headers = ()

    def __init__(self, lab, target):
        self.lab = lab
        self.target = target
        self.prefix = ""
        self.path = getattr(target, "path", "/")
        self.port = None
        self.ends = []

    def open(self):
        raise NotImplementedError

    def __enter__(self):
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        self.path = self.prefix + self.path
        return self

    def __exit__(self, *_):
        self.close()

    def add(self, end):
        end.__enter__()
        self.ends.append(end)
        return end

    def close(self):
        for end in reversed(self.ends):
            end.stop()
        self.ends = []

    def cpu(self):
        """By process and thread, of all ends."""
        times = {}
        for each in self.ends:
            times |= each.cpu()
        return times

    def cpu_of_ends(self):
        return {each.name: each.cpu() for each in self.ends}

    # What a consumer of bytes does to reach the target: see peers/pipe.py.

    def pipe(self):
        return ["tcp", self.port]


class Direct(Passage):
    """No passage at all: what the others are compared with."""

    name = "direct"

    def open(self):
        self.port = self.target.port


class ReverseSSH(Passage):
    """Debian's OpenSSH: an sshd, and a client behind the NAT that asks it for a port (`ssh -R`)."""

    name = "OpenSSH -R"

    def open(self):
        folder = self.lab.directory("ssh")
        port, self.port = free_port(), free_port()
        for key in ("host", "user"):
            _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key])
        (folder / "authorized_keys").write_text((folder / "user.pub").read_text())
        kind, text = (folder / "host.pub").read_text().split()[:2]
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {text}\n")
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized_keys\n"
            "PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\nMaxSessions 1000\n")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.add(End(self.lab, "sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", folder / "sshd_config"], port=port))
        # Nothing else of the user's: neither configuration nor agent nor known hosts.
        forward = f"127.0.0.1:{self.port}:127.0.0.1:{self.target.port}"
        self.add(End(self.lab, "ssh", [
            "ssh", "-F", "none", "-N", "-R", forward, "-p", port, "-i", folder / "user", "-o", "BatchMode=yes",
            "-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={folder}/known_hosts",
            "-o", "ExitOnForwardFailure=yes", f"{pwd.getpwuid(os.getuid()).pw_name}@127.0.0.1",
        ], port=self.port))


class ProxyingNginx(Passage):
    """No tunnel: nginx in front of a target that it can reach, which is the least that any gateway costs."""

    name = "nginx"

    def open(self):
        door = self.add(_StreamingNginx(self.lab, self.target))
        self.port = door.port


class _StreamingNginx(Nginx):
    """Answers pass as they come, as they must for tokens."""

    def location(self):
        return """location / {
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_buffering off;
        }"""


class Websockify(Passage):
    """Debian's websockify: a WebSocket for consumers, TCP to the target; one process for each connection."""

    name = "websockify"

    def open(self):
        self.port = free_port()
        place, target = f"127.0.0.1:{self.port}", f"127.0.0.1:{self.target.port}"
        self.add(End(self.lab, "websockify", ["/usr/bin/websockify", place, target], port=self.port))

    def pipe(self):
        return ["websocket", self.port]


#: What one user, and one address, may not ask otherwise.
RAISED = {"RATE_LIMIT_REQUESTS_PER_MINUTE": "10000000", "RATE_LIMIT_MAX_CONCURRENT": "1000"}


class _TunnelServer(Gateway):
    def environment(self):
        return super().environment() | {"PLUGINS": "tunnel"} | RAISED


class _TunnelServerTLS(_TunnelServer):
    tls = True


class Tunnel(Passage):
    """Ours: a gateway, and an agent behind the NAT, without TLS: an ingress would end it."""

    name = "gateway"
    server = _TunnelServer

    def open(self):
        door = self.add(self.server(self.lab))
        self.port = door.port
        self.prefix = "/api/ollama"
        self.headers = (f"Authorization: Bearer {door.mint()}",)
        reach = ["--url", f"{'wss' if self.tls else 'ws'}://localhost:{door.port}"]
        reach += ["--ca", self.lab.certificate.chain] if self.tls else []
        agent = self.add(End(self.lab, "agent", [
            self.lab.gateway, "agent", *reach, "--name", AGENT, "--token-file", self.credential(door, "tunnel:agent"),
            "--local", f"http://127.0.0.1:{self.target.port}", "--forward", self.target.port,
        ], port=door.port))
        self.consumer = [*reach, "--token-file", self.credential(door, "tunnel:connect")]
        self.wait_until_connected(agent)

    def credential(self, door, permission, user="load"):
        file = door.directory / f"{permission.replace(':', '-')}-{user}"
        file.touch(mode=0o600)
        file.write_text(door.mint(sub=user, permissions=[permission]))
        return file

    def wait_until_connected(self, agent, seconds=10):
        """The agent has no port that could be asked, so the gateway is, until it lists it as connected."""
        deadline = time.monotonic() + seconds
        while not self.is_connected():
            agent.must_run()
            if time.monotonic() > deadline:
                raise Failure(f"the gateway listed no agent for {seconds} s: {agent.last_words()}")
            time.sleep(0.05)

    def is_connected(self):
        trust = {"context": ssl.create_default_context(cafile=self.lab.certificate.chain)} if self.tls else {}
        kind = http.client.HTTPSConnection if self.tls else http.client.HTTPConnection
        connection = kind("localhost", self.port, timeout=2, **trust)
        try:
            headers = dict(each.split(": ", 1) for each in self.headers)
            connection.request("GET", "/api/tunnel/agents", headers=headers)
            listed = json.loads(connection.getresponse().read()).get("agents", [])
            return any(each["connected"] for each in listed)
        except (OSError, ValueError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def pipe(self):
        return ["command", self.lab.gateway, "connect", *self.consumer, f"{AGENT}:{self.target.port}"]


class TunnelTLS(Tunnel):
    """The same with TLS to the agent and to the consumer, who has a plain connection to OpenSSH."""

    server = _TunnelServerTLS

    def __init__(self, lab, target):
        super().__init__(lab, target)
        self.tls = True


class Crowd(Tunnel):
    """A gateway with many agents, each of a user of its own. The agents are on the load's core and not counted."""

    def open(self):
        door = self.add(self.server(self.lab))
        self.port = door.port
        self.prefix = "/api/ollama"
        self.tokens = door.directory / "tokens"
        users = [f"user-{number}" for number in range(self.lab.agents)]
        self.tokens.write_text("".join(f"{door.mint(sub=user)}\n" for user in users))
        self.agents = []
        for user in users:
            credential = self.credential(door, "tunnel:agent", user)
            self.agents.append(self.start_agent(door, credential))

    def start_agent(self, door, credential):
        command = ["taskset", "-c", self.lab.load_core, self.lab.gateway, "agent", "--name", AGENT, "--url",
                   f"ws://127.0.0.1:{door.port}", "--token-file", credential,
                   "--local", f"http://127.0.0.1:{self.target.port}"]
        with open(door.directory / "agents.log", "ab") as log:
            return subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(door.directory)})

    def close(self):
        agents = getattr(self, "agents", [])
        for agent in agents:
            agent.terminate()
        super().close()
        for agent in agents:
            try:
                agent.wait(15)
            except subprocess.TimeoutExpired:
                agent.kill()
                agent.wait()

    def must_run(self):
        ended = [agent.returncode for agent in self.agents if agent.poll() is not None]
        if ended:
            raise Failure(f"{len(ended)} agents ended, the first with exit code {ended[0]}")
        self.ends[0].must_run()

    def resident(self):
        return self.ends[0].resident()


def _run(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"{command[0]}: {done.stderr.strip()}")
