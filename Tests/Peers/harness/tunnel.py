"""The whole way of the tunnel: a model server, an agent beside it, the gateway, and consumers who ask."""

import contextlib
import json
import subprocess
import urllib.parse

import websocket

from . import tokens
from .gateway import binary
from .model import Model
from .processes import Process, bare_environment, run
from .waiting import until

#: Whose agents and requests they are.
USER = "peer"
#: How the agent is called unless a test calls it otherwise.
NAME = "desk"
#: Seconds that one answer may take.
PATIENCE = 30

#: Of a gateway whose limits are not what is tested.
UNLIMITED = {
    "RATE_LIMIT_REQUESTS_PER_MINUTE": 0, "RATE_LIMIT_MAX_CONCURRENT": 0, "RATE_LIMIT_ADDRESS_PER_MINUTE": 0,
    # Then nobody is told to come back because agents may be on their way.
    "TUNNEL_RESUME_GRACE": 0,
}

CHAT = {"model": "llama3.2", "messages": [{"role": "user", "content": "Why?"}]}


def agent_token(**claims):
    """A token that has the right to be an agent."""
    return tokens.mint(**{"sub": USER, "permissions": ["tunnel:agent"]} | claims)


def connect_token(**claims):
    """A token that has the right to TCP connections through agents."""
    return tokens.mint(**{"sub": USER, "permissions": ["tunnel:connect"]} | claims)


def token_file(folder, token):
    """A file that only this user may read, as the commands want it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "token"
    path.touch(mode=0o600)
    path.write_text(token)
    return path


class Agent(Process):
    """A `gateway agent` of `gateway`'s, with its credential in a file; `url` leads there by another way.

    `token` may be anybody's; `options` are further words of its command line, `host` is the namespace it runs in.
    """

    def __init__(self, folder, gateway, local=None, ports=(), name=NAME, token=None, url=None, authority=None,
                 options=(), host=None, log_level="debug"):
        words = ["--url", url or gateway.origin, "--name", name]
        words += ["--token-file", token_file(folder, token or agent_token())]
        words += ["--local", local] if local else []
        words += [word for port in ports for word in ("--forward", port)]
        words += ["--ca", authority] if authority else []
        self.gateway = gateway
        self._before = self._sessions
        with host or contextlib.nullcontext():
            super().__init__(
                f"agent-{name}", [binary(), "agent", *words, *options], folder,
                bare_environment(folder) | {"LOG_LEVEL": log_level})

    @property
    def _sessions(self):
        return self.gateway.total("gateway_tunnel_sessions_total")

    def wait_until_connected(self):
        """Returns once the gateway knows of it: of one session more than before it was started."""

        def connected():
            assert self.exit_code is None, f"the agent ended with {self.exit_code}"
            return self._sessions > self._before

        until(connected, f"{self.name} to connect")
        return self


class Answer:
    """What a consumer got: status, header fields by lower-case names, body, and curl's own exit code."""

    def __init__(self, done):
        self.code = done.returncode
        head, _, self.body = done.stdout.partition(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            head, _, self.body = self.body.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin1").split("\r\n")
        self.status = int(first.split()[1]) if first else None
        self.fields = {}
        for line in lines:
            name, _, value = line.partition(":")
            self.fields.setdefault(name.lower(), []).append(value.strip())

    def field(self, name):
        """The values of a field, joined; `None` if there is none."""
        values = self.fields.get(name)
        return None if values is None else ", ".join(values)

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def lines(self):
        return [json.loads(line) for line in self.body.splitlines() if line]

    @property
    def error(self):
        return self.json["error"]


class Consumer:
    """Somebody with a token who asks at `origin`, by curl."""

    def __init__(self, origin, token=None, authority=None):
        self.origin = origin
        self.token = token
        self.trust = ["--cacert", authority] if authority else []

    def command(self, path, *words, value=None):
        """curl's words for a request; `value` is sent as JSON."""
        data = ["--json", "@-"] if value is not None else []
        bearer = ["--header", f"Authorization: Bearer {self.token}"] if self.token else []
        return [
            "curl", "--silent", "--show-error", "--no-buffer", "--max-time", PATIENCE, *self.trust, *bearer, *data,
            *words, self.origin + path]

    def ask(self, path, *words, value=None):
        """The whole answer, also of a request that curl takes for failed."""
        text = "" if value is None else json.dumps(value)
        return Answer(run(self.command(path, "--include", *words, value=value), check=False, text=text))

    def read(self, path, value):
        """A `Reader` of what is answered to `value`."""
        return Reader([str(word) for word in self.command(path, value=value)], json.dumps(value))


class Reader:
    """A curl whose output is read as it comes; use it in a `with`, whose end makes it leave."""

    def __init__(self, command, text):
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._process.stdin.write(text.encode())
        self._process.stdin.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()
        self._process.stdout.close()

    def line(self):
        """The next line that is not empty, without its end; empty once the answer is over."""
        while (line := self._process.stdout.readline()) == b"\n":
            pass
        return line.rstrip(b"\n")

    def rest(self):
        """All lines up to the end, and curl's exit code: 18 for an answer that was cut off."""
        lines = list(iter(self.line, b""))
        return lines, self._process.wait(PATIENCE)

    def leave(self):
        self._process.kill()
        self._process.wait()


class Socket:
    """A consumer's WebSocket: envelopes as dictionaries."""

    def __init__(self, url, authority=None):
        trust = {"ca_certs": str(authority)} if authority else None
        self._socket = websocket.create_connection(url, timeout=PATIENCE, sslopt=trust)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def say(self, value):
        self._socket.send(value if isinstance(value, str) else json.dumps(value))

    def say_bytes(self, value):
        self._socket.send_binary(value)

    def hear(self):
        """The next message."""
        return json.loads(self._socket.recv())

    def hear_frame(self):
        """Number and payload of the next frame, pongs and the end included."""
        return self._socket.recv_data(control_frame=True)

    def ask(self, request_id="1", **payload):
        """Sends a request, and returns the next message."""
        self.say({"type": "request", "requestId": request_id, "payload": payload})
        return self.hear()

    def closed(self):
        """Code and reason of the end."""
        while True:
            number, payload = self.hear_frame()
            if number == websocket.ABNF.OPCODE_CLOSE:
                return int.from_bytes(payload[:2], "big"), payload[2:].decode()


class Tunnel:
    """A gateway with the plugin, a model, and the agents that `start_agent` starts.

    `through(gateway)` puts an ingress before the gateway, for agents and for consumers.
    """

    def __init__(self, folder, gateway, through=None, authority=None):
        self.folder = folder
        self.gateway = gateway
        self.model = Model(folder / "model")
        self.origin = gateway.origin if through is None else f"https://localhost:{through(gateway).port}"
        self.authority = authority if through else None
        self.token = tokens.mint(sub=USER)
        self.consumer = Consumer(self.origin, self.token, self.authority)
        #: The model itself, for comparison.
        self.direct = Consumer(self.model.origin)
        self.agents = []

    def start_agent(self, name=NAME, **options):
        """One more that is connected, by default for the model."""
        settings = {"local": self.model.origin, "url": self.origin, "authority": self.authority} | options
        count = len(self.agents)
        self.agents.append(Agent(self.folder / f"agent-{count}", self.gateway, name=name, **settings))
        return self.agents[-1].wait_until_connected()

    @property
    def agent(self):
        """The first."""
        return self.agents[0]

    def ask(self, path, *words, **options):
        """What the model's `path` answers through the gateway, as the consumer sees it."""
        return self.consumer.ask(f"/api/ollama{path}", *words, **options)

    def read(self, path, value):
        return self.consumer.read(f"/api/ollama{path}", value)

    def socket_url(self, path="/ws", token=None):
        """Where consumers open sockets: `/` or WEBSOCKET_PATH, their token in the query."""
        query = urllib.parse.urlencode({"token": token or self.token})
        return f"{self.origin.replace('http', 'ws', 1)}{path}?{query}"

    def socket(self, path="/ws", token=None):
        return Socket(self.socket_url(path, token), self.authority)

    def forget(self):
        """The model behaves, and remembers nothing."""
        self.model.release()
        self.model.behave_well()
        self.model.forget()

    def stop(self):
        for agent in self.agents:
            agent.stop()
        self.model.stop()
