"""THE LIST of what is measured, and how. A new row is an entry in `works`, and a class if it is a new kind of work."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

from .load import Load
from .machine import Failure, cpu_spent
from .servers import Gateway, Nginx, NodeWS, NodeWSDeflate


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

    @property
    def best(self):
        """The peer that does it cheapest; the goal is against that one."""
        measured = [peer for peer in self.peers if peer.samples and not peer.failure]
        return min(measured, key=lambda peer: peer.middle, default=None)

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
    keeps_servers = True  # through all rounds; else each sample gets a server that has done nothing before

    def __init__(self, name, goal, ours, peers):
        self.name = name
        self.goal = goal
        self.ours = ours
        self.peers = peers

    def run(self, lab):
        ours = None if lab.peers_only else Side(Gateway.name, self.ours)
        row = Row(self, ours, [Side(peer.name, peer) for peer in self.peers])
        with ExitStack() as servers:
            if self.keeps_servers:
                for side in row.sides:
                    attempt(side, lambda: start(side, lab, servers))
            for number in range(lab.rounds):
                # Every other round goes backwards, so that nobody always comes first.
                for side in row.sides[::-1 if number % 2 else 1]:
                    attempt(side, lambda: self.sample(lab, side))
                lab.progress(f"{self.name}: round {number + 1} of {lab.rounds}")
        for side in row.sides:
            attempt(side, lambda: self.verify(side))
        return row

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


def start(side, lab, servers):
    side.server = servers.enter_context(side.make(lab))


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

    def options(self):
        return []

    def measure(self, lab, server):
        options = ["--connections", lab.connections, "--seconds", lab.seconds, "--warmup", lab.warm_up, "--wait"]
        with Load(lab, self.mode, server, *options, *self.options()) as load:
            ready = load.event("ready", 60)
            before = server.cpu()
            load.go()
            result = load.event("result", lab.seconds + 30)
            spent = cpu_spent(before, server.cpu())
        result["cpuMicrosecondsPerOperation"] = spent / 1000 / result["operations"]
        result["warmUpOperations"] = ready["operations"]
        result["serverBusy"] = round(spent / 1e9 / result["seconds"], 3)
        return result["cpuMicrosecondsPerOperation"], result


class SmallResponse(Repeated):
    """`GET /echo` answers `ok`; both sides write an access log, and it is counted."""

    mode = "http"

    def options(self):
        return ["--expect", "ok", "--header", "User-Agent: benchload", "--header", "Accept: */*"]

    def verify(self, side):
        asked = sum(result["operations"] + result["warmUpOperations"] for result in side.details)
        logged = side.server.access_lines()
        if logged < asked:
            raise Failure(f"the access log has {logged} lines for {asked} requests")


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


works = [
    SmallResponse("HTTP small response", 1.05, Gateway, [Nginx]),
    Echo("WebSocket echo 20 B", 0.5, [NodeWS], 20),
    Echo("WebSocket echo 1 KiB", 0.45, [NodeWS], 1024),
    Echo("WebSocket echo 16 KiB", 0.2, [NodeWS], 16 * 1024),
    Echo("WebSocket echo 1 KiB JSON, deflate", 0.25, [NodeWSDeflate], 1024, "json", deflate=True),
    Echo("WebSocket echo 16 KiB JSON, deflate", 0.2, [NodeWSDeflate], 16 * 1024, "json", deflate=True),
    Idle("Idle WebSocket memory", 0.12, Gateway, [NodeWS]),
]
