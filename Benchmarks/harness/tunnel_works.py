"""THE LIST of what is measured of tunnels, and how; the kinds of rows are those of works.py."""

import json
import socket
import sys
import time
import urllib.request
from contextlib import ExitStack
from statistics import median

from .load import Load
from .machine import Failure, cpu_spent, free_port, on_core
from .passages import RAISED, TESTS, Crowd, Direct, End, ProxyingNginx, ReverseSSH, Tunnel, TunnelTLS, Websockify
from .servers import PEERS, Origin
from .works import KIB, MIB, Relay, Row, Side, Work

GB = 1e9
PYTHON = sys.executable


class ModelOrigin(Origin):
    """A path that agents let through as they come."""

    path = "/v1/body"


def header_options(server):
    """For the load generator: what a request needs to get through."""
    return [word for header in server.headers for word in ("--header", header)]


def spent_by_end(before, after):
    """CPU seconds between two readings, by the name of the end."""
    return {name: cpu_spent(before[name], after[name]) / 1e9 for name in before}


class Ends:
    """For works whose value is the CPU time of both ends: a note that tells them apart."""

    def note(self, row):
        def share(side):
            parts = {name: median(facts["ends"][name] for facts in side.details) for name in side.facts["ends"]}
            return f"{side.name}: " + " + ".join(f"{name} {value:.3f}" for name, value in parts.items())

        shares = [share(side) for side in row.sides if side.facts and not side.failure]
        return f"{self.name}, CPU s/GB by end: " + "; ".join(shares) if shares else None


class Answers(Ends, Relay):
    """Large answers by HTTP; the load generator compares every byte."""

    make_origin = ModelOrigin

    def load(self, lab, server, *bounds):
        return Load(
            lab, self.mode, server, "--connections", self.connections, "--wait", *bounds, *self.options(),
            *header_options(server))

    def measure(self, lab, server):
        with self.load(lab, server, "--seconds", lab.seconds, "--warmup", lab.warm_up) as load:
            load.event("ready", 60)
            before = server.cpu_of_ends()
            load.go()
            result = load.event("result", lab.seconds + 60)
            ends = spent_by_end(before, server.cpu_of_ends())
        amount = result["operations"] * self.body_size / GB
        result["ends"] = {name: seconds / amount for name, seconds in ends.items()}
        return sum(result["ends"].values()), result

    def verify(self, side):
        pass


class Pipe(Load):
    """A consumer of bytes in the place of the load generator."""

    def __init__(self, lab, direction, size, server):
        self.command = ["taskset", "-c", str(lab.load_core), PYTHON, "-s", str(PEERS / "pipe.py"), direction,
                        *map(str, (size, *server.pipe()))]


class Bytes(Ends, Work):
    """One connection's worth of bytes, without a protocol above them."""

    unit = "CPU s/GB"

    def __init__(self, name, goal, ours, peers, direction):
        super().__init__(name, goal, ours, peers)
        self.direction = direction

    def start_origin(self, lab, servers, sides):
        port = free_port()
        target = End(lab, "target", [PYTHON, "-s", PEERS / "pipe.py", "serve", port], port=port)
        target.core = lab.load_core
        return servers.enter_context(target)

    def measure(self, lab, server):
        with Pipe(lab, self.direction, lab.amount, server) as load:
            load.event("ready", 30)
            before = server.cpu_of_ends()
            load.go()
            result = load.event("result", 120)
            ends = spent_by_end(before, server.cpu_of_ends())
        result["ends"] = {name: seconds / (lab.amount / GB) for name, seconds in ends.items()}
        return sum(result["ends"].values()), result


class Compared(Work):
    """What a passage adds to the way without it, measured in turns. The goal is a value, whoever else is in the row."""

    unit = "ms"
    is_absolute = True

    def start_origin(self, lab, servers, sides):
        self.target = servers.enter_context(self.make_target(lab))
        self.direct = servers.enter_context(Direct(lab, self.target))
        return self.target


class Latency(Compared):
    """A small answer on a connection that is kept, one request at a time. A row for each percentile."""

    def __init__(self, name, goals, ours, peers):
        super().__init__(name, None, ours, peers)
        self.goals = goals

    def make_target(self, lab):
        self.origin = ModelOrigin(lab, KIB)
        return self.origin

    def percentiles(self, lab, server):
        with Load(
            lab, "http", server, "--connections", 1, "--wait", "--seconds", lab.seconds / 2, "--warmup", lab.warm_up,
            "--expect-file", self.origin.pattern_file, "--expect-length", KIB,
            *header_options(server),
        ) as load:
            load.event("ready", 60)
            load.go()
            return load.event("result", lab.seconds + 30)["latencyMicroseconds"]

    def measure(self, lab, server):
        direct, through = self.percentiles(lab, self.direct), self.percentiles(lab, server)
        added = {name: (through[name] - direct[name]) / 1000 for name in direct}
        return added["p50"], {"direct": direct, "through": through, "added": added}

    def rows(self, ours, peers):
        def at(point, side):
            samples = [facts["added"][point] for facts in side.details]
            return side and Side(side.name, side.make, samples, side.facts, side.details, side.failure)

        return [
            Row(self, ours and at(point, ours), [at(point, peer) for peer in peers], goal, f"{self.name}, {point}")
            for point, goal in self.goals.items()
        ]

    def note(self, row):
        direct = [facts["direct"]["p50"] / 1000 for side in row.sides for facts in side.details]
        return f"{self.name}: direct has p50 {median(direct):.3f} ms" if direct else None


class Asked(Compared):
    """Questions to the stand-in model server, each on a connection of its own."""

    questions = 20

    def measure(self, lab, server):
        try:
            return self.measured(lab, server)
        except OSError as error:
            raise Failure(f"a question was not answered: {error}") from error

    def measured(self, lab, server):
        raise NotImplementedError

    def make_target(self, lab):
        self.control = free_port()
        port = free_port()
        model = End(lab, "model", [
            PYTHON, "-s", "-m", "model", "--port", port, "--control-port", self.control,
        ], {"PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"}, port)
        model.core = lab.load_core
        model.path = "/api/version"
        return model

    def ask(self, server, number=0):
        """A connection on which the answer is about to come."""
        prefix = server.prefix
        body = json.dumps({
            "model": "llama3.2", "messages": [{"role": "user", "content": "Why?"}],
            "behaviour": {"chunks": 1000, "pace": 0.005},
        })
        lines = [
            f"POST {prefix}/api/chat?number={number} HTTP/1.1", f"Host: localhost:{server.port}",
            "Content-Type: application/json", f"Content-Length: {len(body)}", *server.headers,
        ]
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        connection.sendall("\r\n".join([*lines, "", body]).encode())
        return connection

    def hear(self, connection, count):
        """Reads until `count` tokens have come."""
        seen = b""
        while seen.count(b'"done":false') < count:
            block = connection.recv(65_536)
            if not block:
                raise OSError(f"the answer ended early: {seen[:200]!r}")
            seen += block


class FirstToken(Asked):
    """From sending the question to the first token of the answer."""

    def time(self, lab, server):
        times = []
        with on_core(lab.load_core):
            for _ in range(self.questions):
                start = time.monotonic()
                with self.ask(server) as connection:
                    self.hear(connection, 1)
                    times.append((time.monotonic() - start) * 1000)
        return median(times)

    def measured(self, lab, server):
        direct, through = self.time(lab, self.direct), self.time(lab, server)
        return through - direct, {"direct": direct, "through": through}


class Cancel(Asked):
    """From closing the connection in the middle of an answer to the model's seeing it: the longest of some."""

    def measured(self, lab, server):
        self.number = getattr(self, "number", 0)
        left = {}
        with on_core(lab.load_core):
            for _ in range(self.questions):
                self.number += 1
                with self.ask(server, self.number) as connection:
                    self.hear(connection, 3)
                    left[self.number] = time.monotonic_ns()
        delays = [(self.noticed(number) - moment) / 1e6 for number, moment in left.items()]
        return max(delays), {"milliseconds": delays}

    def noticed(self, number):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.control}/requests", timeout=5) as answer:
                for entry in json.loads(answer.read()):
                    if entry["target"].endswith(f"number={number}") and entry["state"] == "gone":
                        return entry["ended_at"]
            time.sleep(0.01)
        raise Failure("the model never saw that its client had left")


class CrowdLoad(Load):
    """Consumers in the place of the load generator."""

    def __init__(self, lab, server, tokens):
        self.command = ["taskset", "-c", str(lab.load_core), PYTHON, "-s", str(PEERS / "crowd.py"), str(server.port),
                        server.path, str(tokens), str(lab.seconds)]


class Agents(Work):
    """Resident memory of a gateway with many agents, while a consumer of each asks once a second."""

    unit = "MiB"
    rounds = 1

    def start_origin(self, lab, servers, sides):
        return servers.enter_context(ModelOrigin(lab, KIB))

    def measure(self, lab, server):
        with CrowdLoad(lab, server, server.tokens) as load:
            load.event("ready", 300)
            load.go()
            result = load.event("result", lab.seconds + 60)
            server.must_run()
            value = server.resident() / MIB
        return value, result | {"mebibytes": value, "agents": lab.agents}

    def note(self, row):
        if not (row.ours and row.ours.facts):
            return None
        facts, times = row.ours.facts, row.ours.facts["milliseconds"]
        return (f"{self.name}: {facts['agents']:,} agents, {facts['perSecond']:,.0f} requests a second, p50 "
                f"{times['p50']:.1f} ms and p99 {times['p99']:.1f} ms. Raised for it: {', '.join(RAISED)}")


works = [
    Answers("Answers of 64 MiB", {"OpenSSH -R": 1.0, "nginx": None}, Tunnel, [ReverseSSH, ProxyingNginx], 64 * MIB, 4),
    Answers("Answers of 64 MiB, TLS", None, TunnelTLS, [ReverseSSH], 64 * MIB, 4),
    Bytes("Bytes to the consumer", {"OpenSSH -R": 1.0, "websockify": None}, Tunnel, [ReverseSSH, Websockify], "down"),
    Bytes("Bytes from the consumer", {"OpenSSH -R": 1.0, "websockify": None}, Tunnel, [ReverseSSH, Websockify], "up"),
    Latency("Added latency", {"p50": 0.3, "p99": 2}, Tunnel, [ReverseSSH, ProxyingNginx]),
    FirstToken("First token, later than direct", 10, Tunnel, [ReverseSSH, ProxyingNginx]),
    Agents("Many agents", 100, Crowd, []),
    Cancel("Cancel, until the model sees it", 100, Tunnel, [ReverseSSH, ProxyingNginx]),
]
