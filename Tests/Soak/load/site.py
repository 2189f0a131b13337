"""A gateway of the soak with what is around it: samples of its processes, and the judgement on what they kept."""

import json
import os
import signal
import time

from harness import tokens
from harness.gateway import is_sanitized
from harness.waiting import until

from load.measure import mebibytes, slope, usage

#: Anonymous memory may grow by this over the second half of the run, by least squares: what allocators do by themselves
#: over half an hour. A leak of a hundred bytes a connection is ten times that.
GROWTH = 4 << 20
#: Descriptors more than after the warm-up: both loops keep up to 8 pipes (`idlePipes`), as many as there were relays at
#: once.
DESCRIPTORS = 32
#: Samples that a slope needs to mean something.
FEWEST_SAMPLES = 12

#: What clients do; see churn.py and tunnelled.py.
WORKS = ("keep_alive", "pipeline", "abort", "messages", "forwarded_messages", "forward", "watch", "read_slowly")
TUNNEL_WORKS = (
    "read_answers", "leave", "ask_by_socket", "look", "be_refused", "connect", "come_and_go", "lose_the_line")


class Watched:
    """A process that must stay as small as it is: its samples, and its descriptors without clients."""

    def __init__(self, name, process):
        self.name, self.process = name, process
        self.samples = []
        #: Once for the warm-up, once for the end.
        self.descriptors = []

    def sample(self, since):
        assert self.process.exit_code is None, f"{self.name} ended with {self.process.exit_code}"
        self.samples.append((time.monotonic() - since, usage(self.process.pid)))
        return self.samples[-1]

    def count_descriptors(self):
        self.descriptors.append(usage(self.process.pid).descriptors)

    @property
    def growth(self):
        """Bytes over the second half; `None` of too few samples."""
        half = self.samples[len(self.samples) // 2 :]
        if len(self.samples) < FEWEST_SAMPLES:
            return None
        return slope([(at, metrics.anonymous) for at, metrics in half]) * (half[-1][0] - half[0][0])

    def problems(self):
        before, after = self.descriptors
        if after > before + DESCRIPTORS:
            yield f"{self.name}: {after} descriptors are open without clients, {before} were after the warm-up"
        if not is_sanitized() and self.growth is not None and self.growth > GROWTH:
            yield f"{self.name}: memory grows by {mebibytes(self.growth)} MiB over the second half"

    def end(self):
        """Stops it, which must end well."""
        try:
            self.process.stop(30)
        except AssertionError as finding:
            yield f"{self.name}: {finding}"
            return
        if self.process.exit_code != 0:
            yield f"{self.name}: it ended with {self.process.exit_code}\n{self.process.tail(40)}"
        elif "Sanitizer" in self.process.stderr:
            yield f"{self.name}: {self.process.tail(200)}"

    HEADS = ("memory first", "last", "growth", "most RSS", "fds before", "after", "CPU")

    def row(self):
        (began, first), (ended, last) = self.samples[0], self.samples[-1]
        growth = "-" if self.growth is None else f"{self.growth / (1 << 20):+.2f} MiB"
        return (
            f"{mebibytes(first.anonymous)} MiB", f"{mebibytes(last.anonymous)} MiB", growth,
            f"{mebibytes(max(metrics.rss for _, metrics in self.samples))} MiB", *self.descriptors,
            f"{100 * (last.cpu - first.cpu) / max(1e-9, ended - began):.1f} %",
        )


class Site:
    """A gateway and the agent that stays, the clients of both, and what was seen of them."""

    def __init__(self, name, gateway, agent, clients, consumers, certify=None):
        self.name, self.gateway, self.agent, self.certify = name, gateway, agent, certify
        self.clients, self.consumers = clients, consumers
        self.watched = [Watched(name, gateway), Watched(f"{name} agent", agent)]
        self.problems = []

    def order(self, word):
        """What all clients have to say to it."""
        return [each.ask(word, 90) for each in (self.clients, self.consumers)]

    def sample(self, since):
        """A row for each process."""
        connections = int(self.gateway.total("gateway_connections_open"))
        for watched, count in zip(self.watched, (connections, "")):
            at, metrics = watched.sample(since)
            yield (watched.name, f"{at:.1f}", metrics.rss, metrics.anonymous, metrics.descriptors, count,
                   f"{metrics.cpu:.3f}")

    def settle(self):
        """With the clients gone: waits until nothing is in use any more but by the agent that stays."""
        total = self.gateway.total
        self.wait(lambda: total("gateway_tunnel_agents") == 1, "other agents")
        self.wait(lambda: total("gateway_tunnel_consumers") == 0, "sockets that ask agents")
        self.wait(lambda: total("gateway_websocket_open") == 1, "sockets")
        # What is open is the agent's connection, and the one that asks.
        self.wait(lambda: total("gateway_connections_open") <= 2, "connections")
        self.wait(lambda: self.open_streams == 0, "streams of the agent that stays")
        self.wait(lambda: self.consumers.ask("report")["open"] == 0, "connections through it")

    def count_descriptors(self):
        """Once nobody needs any but the agent that stays."""
        for watched in self.watched:
            watched.count_descriptors()

    def wait(self, condition, what):
        until(condition, f"{self.name}: {what} to be gone", 60)

    @property
    def open_streams(self):
        """Requests and connections that the gateway takes for open at its only agent."""
        fields = {"Authorization": f"Bearer {tokens.mint()}"}
        status, _, body = self.gateway.get("/api/tunnel/agents", headers=fields)
        assert status == 200, f"{self.name}: status {status} of the list of agents"
        return sum(each["open"] for each in json.loads(body)["agents"])

    def hang_up(self):
        if self.certify:
            self.certify()
        os.kill(self.gateway.pid, signal.SIGHUP)

    # Judgement

    def judge(self, results):
        """`results` is what clients and consumers said at the end. Stops the agent, and then the gateway."""
        gateway, agent = self.watched
        self.problems += [problem for result in results for problem in result["wrong"]]
        self.problems += [problem for watched in self.watched for problem in watched.problems()]
        if "reconnecting" in self.agent.stderr:
            self.problems.append(f"the agent that stays lost its connection\n{self.agent.tail(10)}")
        self.problems += agent.end()
        self.judge_gauges()
        self.judge_counters(*(result["done"] for result in results))
        self.problems += gateway.end()

    def judge_gauges(self):
        total, problems = self.gateway.total, self.problems
        until(lambda: total("gateway_tunnel_agents") == 0, f"{self.name}: the last agent to be gone", 60)
        until(lambda: total("gateway_websocket_open") == 0, f"{self.name}: its socket to be gone", 60)
        opened, closed = total("gateway_websocket_opened_total"), total("gateway_websocket_closed_total")
        if opened != closed:
            problems.append(f"{opened:.0f} sockets were opened and {closed:.0f} closed")
        opened, closed = total("gateway_tunnel_sockets_opened_total"), total("gateway_tunnel_sockets_closed_total")
        if opened != closed:
            problems.append(f"{opened:.0f} sockets of the tunnel were opened and {closed:.0f} closed")
        for budget in ("assembly", "compression"):
            if kept := total(f"gateway_websocket_{budget}_bytes"):
                problems.append(f"{kept:.0f} bytes of {budget} memory were not given back")

    def judge_counters(self, done, tunnelled):
        """None may be below what the clients counted."""
        counts = (
            ("connections", "gateway_connections_accepted_total", done["connections"] + tunnelled["connections"]),
            ("answers", "gateway_http_requests_total", done["answers"] + tunnelled.get("carried", 0)),
            ("answers of agents", "gateway_tunnel_requests_total", tunnelled.get("carried", 0)),
            ("byte streams", "gateway_tunnel_connections_total", tunnelled.get("streams", 0)),
        )
        for what, metric, least in counts:
            if (count := self.gateway.total(metric)) < least:
                self.problems.append(f"{count:.0f} {what} were counted, the clients had {least}")
        if not self.gateway.total("gateway_tunnel_sessions_total", how="resumed"):
            self.problems.append("no agent went on with its session")
        for works, who in ((WORKS, done), (TUNNEL_WORKS, tunnelled)):
            self.problems += [f"nobody came to the end of {work}" for work in works if not who.get(work)]

    # Tables

    HEADS = ("gateway", "connections", "answers", "messages", "aborted", "upstream's", "wrong")
    TUNNEL_HEADS = (
        "tunnel", "answers", "envelopes", "streams", "agents", "resumed", "aborted", "broken off", "away", "wrong")

    def row(self, results):
        done, _ = (result["done"] for result in results)
        return (
            self.name, *(done.get(name, 0) for name in ("connections", "answers", "messages", "aborted")),
            done.get("upstream faults", 0) + done.get("broken", 0), done.get("wrong", 0), *self.watched[0].row(),
        )

    def tunnel_row(self, results):
        _, done = (result["done"] for result in results)
        names = ("answers", "envelopes", "streams", "agents", "resumed", "aborted", "broken", "away", "wrong")
        return (f"{self.name} agent", *(done.get(name, 0) for name in names), *self.watched[1].row())
