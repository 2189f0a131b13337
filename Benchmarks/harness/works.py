"""THE LIST of what is measured, and how. A new row is an entry in `works`, and a class if it is a new kind of work."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

from .load import Load
from .machine import Failure, cpu_spent, on_core
from .servers import (
    Gateway, GatewayTLS, GatewayWithEverything, HAProxy, HAProxyTLS, Nginx, NginxTLS, NodeWS, NodeWSDeflate, NodeWSTLS,
    Origin)

KIB, MIB = 1 << 10, 1 << 20
CIPHER = (
    "TLS is 1.3 with TLS_AES_128_GCM_SHA256, key exchange P-256 and certificate ECDSA P-256, without kernel TLS, on "
    "every side")


@dataclass
class Side:
    """What one server cost, round by round, or why that is not known."""

    name: str
    make: object
    samples: list = field(default_factory=list)  # in the unit of the work
    facts: dict = field(default_factory=dict)    # the last result of the load generator
    details: list = field(default_factory=list)  # each round's result, for --json
    failure: str = None
    server: object = None                        # running, if the work keeps its servers

    @property
    def middle(self):
        return median(self.samples)


@dataclass
class Row:
    """One line of the table."""

    work: object
    ours: Side
    peers: list
    goal: float = None  # ours / best peer, or a value in the unit of the work; None: it is only stated
    name: str = None

    def __post_init__(self):
        self.name = self.name or self.work.name

    @property
    def best(self):
        """The peer that does it cheapest; the goal is against that one."""
        measured = [peer for peer in self.peers if peer.samples and not peer.failure]
        return min(measured, key=lambda peer: peer.middle, default=None)

    @property
    def is_absolute(self):
        """Whether the goal is for our value, whatever the peers' are."""
        return not self.peers or self.work.is_absolute

    @property
    def ratios(self):
        if self.ours is None or self.ours.failure or self.best is None:
            return []
        return [ours / peer for ours, peer in zip(self.ours.samples, self.best.samples)]

    @property
    def sides(self):
        return ([self.ours] if self.ours else []) + self.peers

    @property
    def failures(self):
        return [side for side in self.sides if side.failure]


class Work:
    """Something servers do. `measure` makes one sample of one server; the rest is the same for all works."""

    unit = "µs CPU/op"
    rounds = None         # None: what the command line says
    keeps_servers = True  # through all rounds; else each sample gets a server that has done nothing before
    is_absolute = False   # the goal is a value even with peers
    make_origin = Origin
    body_size = None      # of what an origin behind the servers answers; None: there is no origin

    def __init__(self, name, goal, ours, peers):
        """`goal` may be a dict by the name of the peer: then each peer has a row of its own."""
        self.name = name
        self.goal = goal
        self.ours = ours
        self.peers = peers

    def run(self, lab):
        """The rows of the table; all of them from the same rounds."""
        ours = None if lab.peers_only else Side(Gateway.name, self.ours)
        peers = [Side(peer.name, peer) for peer in self.peers]
        sides = ([ours] if ours else []) + peers
        with ExitStack() as servers:
            if self.keeps_servers:
                origin = self.start_origin(lab, servers, sides)
                for side in sides:
                    attempt(side, lambda: start(side, lab, origin, servers))
            rounds = self.rounds or lab.rounds
            for number in range(rounds):
                # Every other round goes backwards, so that nobody always comes first.
                for side in sides[::-1 if number % 2 else 1]:
                    attempt(side, lambda: self.sample(lab, side))
                lab.progress(f"{self.name}: round {number + 1} of {rounds}")
        for side in sides:
            attempt(side, lambda: self.verify(side))
        return self.rows(ours, peers)

    def rows(self, ours, peers):
        if not isinstance(self.goal, dict):
            return [Row(self, ours, peers, self.goal)]
        return [Row(self, ours, [peer], self.goal[peer.name], f"{self.name}, against {peer.name}") for peer in peers]

    def start_origin(self, lab, servers, sides):
        if self.body_size is None:
            return None
        try:
            self.origin = servers.enter_context(self.make_origin(lab, self.body_size))
            return self.origin
        except Failure as failure:
            for side in sides:
                side.failure = f"the origin: {failure}"

    def sample(self, lab, side):
        if side.server:
            value, facts = self.measure(lab, side.server)
        else:
            with side.make(lab) as fresh:
                value, facts = self.measure(lab, fresh)
        side.samples.append(value)
        side.facts = facts
        side.details.append(facts)

    def measure(self, lab, server):
        raise NotImplementedError

    def verify(self, side):
        """A last look after the stop; raises when the samples must not count."""

    def note(self, row):
        """A line under the table, or None."""
        return None


def start(side, lab, origin, servers):
    side.server = servers.enter_context(side.make(lab, origin))


def attempt(side, action):
    """Runs `action` unless this side failed before; a failure is kept for the table."""
    if side.failure:
        return
    try:
        action()
    except Failure as failure:
        side.failure = str(failure)


class Repeated(Work):
    """CPU time of the server per operation, in a closed loop that the load generator keeps up."""

    mode = None
    connections = None  # None: what the command line says

    def options(self):
        return []

    def load(self, lab, server, *bounds):
        connections = self.connections or lab.connections
        return Load(lab, self.mode, server, "--connections", connections, "--wait", *bounds, *self.options())

    def measure(self, lab, server):
        with self.load(lab, server, "--seconds", lab.seconds, "--warmup", lab.warm_up) as load:
            ready = load.event("ready", 60)
            before = server.cpu()
            load.go()
            result = load.event("result", lab.seconds + 30)
            spent = cpu_spent(before, server.cpu())
        result["cpuMicrosecondsPerOperation"] = spent / 1000 / result["operations"]
        result["warmUpOperations"] = ready["operations"]
        result["serverBusy"] = round(spent / 1e9 / result["seconds"], 3)
        return self.value(spent, result), result

    def value(self, nanoseconds, result):
        return result["cpuMicrosecondsPerOperation"]


class Exchanges(Repeated):
    """Requests on kept connections. Who writes an access log has written a line for each."""

    mode = "http"
    common = ["--header", "User-Agent: benchload", "--header", "Accept: */*"]

    def verify(self, side):
        if not side.server.logs_access:
            return
        asked = sum(result["operations"] + result["warmUpOperations"] for result in side.details)
        logged = side.server.access_lines()
        if logged < asked:
            raise Failure(f"the access log has {logged} lines for {asked} requests")


class SmallResponse(Exchanges):
    """`GET /echo` answers `ok`."""

    def options(self):
        return ["--expect", "ok", *self.common]


class Proxied(Exchanges):
    """A body of an origin comes through; the load generator compares every byte of it."""

    def __init__(self, name, goal, ours, peers, size, connections=None):
        super().__init__(name, goal, ours, peers)
        self.body_size = size
        self.connections = connections

    def options(self):
        return ["--expect-file", self.origin.pattern_file, "--expect-length", self.body_size, *self.common]

    def note(self, row):
        return f"{self.name}: {self.connections} connections" if self.connections else None


class Relay(Proxied):
    """The same with bodies so large that only their bytes count."""

    unit = "CPU s/GB"

    def value(self, nanoseconds, result):
        return nanoseconds / (result["operations"] * self.body_size)


class Handshake(Repeated):
    """A new connection, its TLS handshake and the server's ticket; each is full, or each resumes the one before."""

    mode = "tls-handshake"

    def __init__(self, name, goal, peers, resumed=False):
        super().__init__(name, goal, GatewayTLS, peers)
        self.resumed = resumed

    def options(self):
        return ["--resume"] if self.resumed else []

    def note(self, row):
        return f"{self.name}: with the TCP connection and its closing, and one ticket from each server"


class Echo(Repeated):
    """A message comes back as it was sent; the load generator compares every byte."""

    mode = "ws-echo"

    def __init__(self, name, goal, peers, size, payload="binary", deflate=False):
        super().__init__(name, goal, Gateway, peers)
        self.size = size
        self.payload = payload
        self.deflate = deflate

    def options(self):
        return ["--size", self.size, "--payload", self.payload, *(["--deflate"] if self.deflate else [])]

    def note(self, row):
        measured = [side for side in row.sides if side.facts]
        if not self.deflate or not measured:
            return None
        sent = measured[0].facts["requestPayloadBytes"]
        replies = ", ".join(f"{side.name} {side.facts['replyPayloadBytes']:,} B" for side in measured)
        return (f"{self.name}: no context takeover on either side, {self.size:,} B arrive compressed to {sent:,} B "
                f"and go back as: {replies}")


class Idle(Work):
    """Anonymous memory per open socket on which nothing happens. Each round has a new server."""

    unit = "B/socket"
    keeps_servers = False

    def measure(self, lab, server):
        # The first sockets of a process pay for code and pools that later ones share.
        with Load(lab, "ws-idle", server, "--connections", 100) as first:
            first.event("open", 60)
        before = server.memory()
        with Load(lab, "ws-idle", server, "--connections", lab.sockets) as load:
            opened = load.event("open", 90)
            after = server.memory()
        value = (after - before) / lab.sockets
        return value, opened | {"anonymousBefore": before, "anonymousAfter": after, "bytesPerSocket": value}

    def note(self, row):
        counts = {side.facts["sockets"] for side in row.sides if side.facts}
        return f"{self.name}: measured with {max(counts):,} sockets" if counts else None


class Start(Work):
    """From launching the program to its first answer. A sample is the median of some starts."""

    unit = "ms"
    keeps_servers = False
    starts = 5

    def sample(self, lab, side):
        times = []
        for _ in range(self.starts):
            server = side.make(lab)
            try:
                with on_core(lab.load_core):  # asking must not take the server's time
                    server.launch()
                    times.append(server.seconds_to_answer("/health") * 1000)
            finally:
                server.stop()
        side.samples.append(median(times))
        side.facts = {"milliseconds": times, "plugins": server.plugins}
        side.details.append(side.facts)

    def note(self, row):
        return f"{self.name}: {', '.join(row.ours.facts['plugins'])}" if row.ours and row.ours.facts else None


class Resident(Work):
    """VmRSS of a server that has answered once and then had nothing to do."""

    unit = "MiB"
    keeps_servers = False

    def measure(self, lab, server):
        server.seconds_to_answer("/health")
        value = server.resident() / MIB
        return value, {"mebibytes": value}


works = [
    SmallResponse("HTTP small response", 1.05, Gateway, [Nginx]),
    SmallResponse("HTTP small response, TLS", 1.05, GatewayTLS, [NginxTLS]),
    Proxied("Reverse proxy 1 KiB", 0.95, Gateway, [Nginx, HAProxy], KIB),
    Relay("Relay 4 MiB", {"haproxy": 1.0, "nginx": 0.4}, Gateway, [HAProxy, Nginx], 4 * MIB, 16),
    Relay("Relay 64 MiB", {"haproxy": 1.0, "nginx": 0.4}, Gateway, [HAProxy, Nginx], 64 * MIB, 4),
    Relay("Relay 4 MiB, TLS to the client", 1.0, GatewayTLS, [NginxTLS, HAProxyTLS], 4 * MIB, 16),
    Echo("WebSocket echo 20 B", 0.5, [NodeWS], 20),
    Echo("WebSocket echo 1 KiB", 0.45, [NodeWS], KIB),
    Echo("WebSocket echo 16 KiB", 0.2, [NodeWS], 16 * KIB),
    Echo("WebSocket echo 1 KiB JSON, deflate", 0.25, [NodeWSDeflate], KIB, "json", deflate=True),
    Echo("WebSocket echo 16 KiB JSON, deflate", 0.2, [NodeWSDeflate], 16 * KIB, "json", deflate=True),
    Handshake("TLS handshake, full", 1.0, [NginxTLS]),
    Handshake("TLS handshake, resumed", 1.0, [NginxTLS], resumed=True),
    Idle("Idle WebSocket memory", 0.12, Gateway, [NodeWS]),
    Idle("Idle WebSocket memory, TLS", None, GatewayTLS, [NodeWSTLS]),
    Start("Start to first answer, all plugins", 50, GatewayWithEverything, []),
    Resident("Resident memory at idle, all plugins", 24, GatewayWithEverything, []),
]
