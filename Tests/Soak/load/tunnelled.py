"""Clients of the tunnel that come and go: who asks, who connects to ports, and agents themselves.

Settings: those of churn.py; `binary` of the gateway, `url` where it is, `folder` for files, `model`, the origin of the
stand-in model, `stays`: name of the agent that is connected all the time, `grace`: TUNNEL_RESUME_GRACE in seconds,
`tokens`: those of an `agent`, for `connect`, for a `scraper`, and one that has `expired`. Every order is answered with
`ports` too, which the agent that stays is to offer, and `open`: how many connections there are to them.

What the agent that stays is asked must be answered, byte for byte. Of one that comes and goes an answer may be an
error, but only the one that fits, and what had come of it must be right.
"""

import asyncio
import base64
import contextlib
import json
import sys
import time
from functools import lru_cache
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "Peers"))

from conversations import Broken, Clients, Wrong  # noqa: E402
from model import ollama  # noqa: E402
from model.behaviour import Behaviour  # noqa: E402
from model.exchange import compact  # noqa: E402
from programs import Echo, Program, Relay  # noqa: E402

#: What a consumer is told while an agent is away, one that may be back soon or one that has left.
AWAY = {"AGENT_RECONNECTING", "DESKTOP_CLIENT_DISCONNECTED"}
#: And by one that still finishes what it has.
ENDING = {"CHANNEL_LIMIT"}
#: Agents that come and go.
GUESTS = ("guest-0", "guest-1")
#: The agent whose line is cut.
ROAMER = "roamer"
VERSION = compact({"version": ollama.VERSION})


def question(chunks, size, pace=0.0):
    return {
        "model": "llama3.2", "messages": [{"role": "user", "content": "Why?"}],
        "behaviour": {"chunks": chunks, "size": size, "pace": pace},
    }


@lru_cache(256)
def lines(chunks, size):
    """What the model answers to `question`, byte for byte."""
    behaviour = Behaviour(chunks=chunks, size=size)
    speech = ollama.Speech(behaviour, "llama3.2", lambda words: {"message": {"role": "assistant", "content": words}})
    return b"".join([*(speech.chunk(number) for number in range(chunks)), *speech.ending()])


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


class Tunnelled(Clients):
    def __init__(self, settings):
        super().__init__(settings)
        self.folder, self.tokens = Path(settings["folder"]), settings["tokens"]
        self.echo = Echo()
        self.guests = list(GUESTS)
        self.count = 0

    async def prepare(self):
        await self.echo.start()
        for name in ("agent", "connect"):
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_text(self.tokens[name])

    def report(self):
        ports = [self.echo.port, self.echo.breaking_port]
        return super().report() | {"ports": ports, "open": self.echo.open}

    # Asking

    async def ask(self, talk, name, method, path, body=None):
        """The answer of the agent `name`; one that is away may say so."""
        await self.begin(talk, name, method, path, body)
        return await talk.receive()

    async def begin(self, talk, name, method, path, body=None):
        fields = bearer(self.token) | ({"Content-Type": "application/json"} if body else {})
        await talk.send(method, f"/api/tunnel/agents/{name}/ollama{path}", body, headers=fields)

    def judge(self, name, answer, body):
        """Returns whether it was an answer of the agent's."""
        if answer[0] == 503 and name != self.settings["stays"]:
            self.refused(answer, 503, AWAY | ENDING)
            self.done["away"] += 1
            return False
        self.expect(answer, body)
        self.done["carried"] += 1
        return True

    def refused(self, answer, status, codes):
        """An error in its one shape, with one of these codes."""
        error = json.loads(answer[2])["error"]
        if answer[0] != status or error["code"] not in codes or not error["message"]:
            raise Wrong(f"status {answer[0]} and {answer[2][:200]!r} in place of {status} {sorted(codes)}")
        self.done["answers"] += 1

    def broke_off(self, got, whole, has_lines=True):
        """What had come of an answer whose agent was lost: some of it, and as the last of its lines an error."""
        said, _, last = got.rstrip(b"\n").rpartition(b"\n") if has_lines else (got, None, None)
        is_told = not has_lines or b'"tunnelCode":"TUNNEL_001"' in last
        if not whole.startswith(said.rstrip(b"\n")) or not is_told:
            raise Wrong(f"an answer broke off with {got[-200:]!r}")
        self.done["broken"] += 1

    def whom(self):
        return self.settings["stays"] if self.random.random() < 0.85 else self.random.choice((*GUESTS, ROAMER))

    def size(self):
        """Chunks, and letters of each: of a few kinds, since each is made once for comparison."""
        return self.random.choice(((1, 16), (8, 16), (30, 200), (60, 1500), (12, 30_000)))

    # What the clients do, a conversation each

    async def read_answers(self):
        """Questions on a kept connection, every answer whole."""
        async with self.talk() as talk:
            for _ in range(self.random.randint(1, 8)):
                name = self.whom()
                method, path, body, expected = self.question()
                try:
                    self.judge(name, await self.ask(talk, name, method, path, body), expected)
                except Broken as error:
                    if name == self.settings["stays"]:
                        raise
                    self.broke_off(error.body, expected, has_lines=path == "/api/chat")
                    return
                if talk.is_over:
                    return

    def question(self):
        """Method, path and body, and what the model answers to them."""
        luck = self.random.random()
        if luck < 0.2:
            return "GET", "/api/version", None, VERSION
        if luck < 0.5:
            prompt = base64.b64encode(self.some(60_000)).decode()
            body = json.dumps({"model": "all-minilm", "prompt": prompt}).encode()
            return "POST", "/api/embeddings", body, compact({"embedding": ollama.vector(prompt)})
        size = self.size()
        return "POST", "/api/chat", json.dumps(question(*size)).encode(), lines(*size)

    async def leave(self):
        """Asks for a long answer and leaves in its middle."""
        async with self.talk() as talk:
            size = (400, self.random.choice((20, 5000)))
            body = json.dumps(question(*size, pace=0.02)).encode()
            await self.begin(talk, self.settings["stays"], "POST", "/api/chat", body)
            if self.random.random() < 0.8:
                status, _ = await talk.head()
                if status != 200:
                    raise Wrong(f"status {status} of an answer to leave")
                await talk.reader.readexactly(self.random.randint(1, 200))
                await asyncio.sleep(self.random.random() / 5)
            if self.random.random() < 0.5:
                talk.writer.transport.abort()
            self.done["aborted"] += 1

    async def ask_by_socket(self):
        async with self.socket("/ws") as peer:
            for number in range(self.random.randint(1, 6)):
                await self.random.choice((self.ask_whole, self.ask_streamed, self.ask_and_cancel))(peer, str(number))
                self.done["envelopes"] += 1
            if self.random.random() < 0.3:
                await self.say(peer, "left", question(400, 1000, 0.02), stream=True)
                await self.hear(peer, "left", "response_start")
                self.done["aborted"] += 1
                return
            await self.close(peer)

    async def say(self, peer, number, body=None, **more):
        payload = {"method": "POST", "path": "/api/chat", "body": body} if body else {"path": "/api/version"}
        payload = {"method": "GET", "agent": self.settings["stays"]} | payload | more
        await peer.send(json.dumps({"type": "request", "requestId": number, "payload": payload}))

    async def hear(self, peer, number, *kinds):
        """The next message of a request, which must be of one of these kinds."""
        message = json.loads(await peer.recv())
        if message.get("requestId") != number or message["type"] not in kinds:
            raise Wrong(f"{str(message)[:200]} in place of {kinds} for {number}")
        return message

    async def ask_whole(self, peer, number):
        await self.say(peer, number)
        payload = (await self.hear(peer, number, "response"))["payload"]
        self.expect((payload["statusCode"], None, payload["body"].encode()), VERSION)

    async def ask_streamed(self, peer, number):
        size, body = self.size(), b""
        await self.say(peer, number, question(*size), stream=True)
        status = (await self.hear(peer, number, "response_start"))["payload"]["statusCode"]
        while (part := await self.hear(peer, number, "response_chunk", "response_end"))["type"] == "response_chunk":
            body += part["payload"]["body"].encode()
        self.expect((status, None, body), lines(*size))

    async def ask_and_cancel(self, peer, number):
        await self.say(peer, number, question(400, 100, 0.02), stream=True)
        await self.hear(peer, number, "response_start")
        await peer.send(json.dumps({"type": "cancel", "requestId": number}))
        after = f"after {number}"
        await self.say(peer, after)
        while (message := json.loads(await peer.recv())).get("requestId") == number:
            if message["type"] != "response_chunk":
                raise Wrong(f"{str(message)[:200]} after a cancel")
        if message["requestId"] != after or message["payload"]["body"].encode() != VERSION:
            raise Wrong(f"{str(message)[:200]} after a cancel")
        self.done["cancelled"] += 1

    async def look(self):
        """What a page and a scraper ask about the tunnel."""
        stays = self.settings["stays"]
        async with self.talk() as talk:
            status, _, body = await talk.get("/api/tunnel/agents", bearer(self.token))
            found = [each for each in json.loads(body)["agents"] if each["name"] == stays]
            if status != 200 or [each["connected"] and not each["reconnecting"] for each in found] != [True]:
                raise Wrong(f"status {status}, the agent that stays is {found}")
            status, _, body = await talk.get("/api/tunnel/health/peer", bearer(self.token))
            if (status, json.loads(body)["status"]) != (200, "connected"):
                raise Wrong(f"status {status}, health {body[:200]}")
            status, _, body = await talk.get("/api/tunnel/metrics", bearer(self.tokens["scraper"]))
            if status != 200 or b"\ntunnel_active_users 1\n" not in body:
                raise Wrong(f"status {status}, metrics {body[:200]}")
            self.done["answers"] += 3

    async def be_refused(self):
        stays = f"/api/tunnel/agents/{self.settings['stays']}/ollama"
        good, upgrade = bearer(self.token), {
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "tunnel.agent.v1",
        }
        path, fields, status, codes = self.random.choice((
            (f"{stays}/api/version", {}, 401, {"AUTH_REQUIRED"}),
            (f"{stays}/api/version", bearer("nonsense"), 401, {"AUTH_REQUIRED"}),
            (f"{stays}/api/version", bearer(self.tokens["expired"]), 401, {"AUTH_REQUIRED"}),
            (f"{stays}/api/blobs/x", good, 403, {"AGENT_REFUSED"}),
            (f"{stays}/api//version", good, 400, {"INVALID_PATH"}),
            ("/api/tunnel/agents/nobody/ollama/api/version", good, 503, AWAY),
            ("/api/tunnel/agent", good | upgrade, 403, None),
            ("/api/tunnel/metrics", good, 403, None),
        ))
        async with self.talk() as talk:
            answer = await talk.get(path, fields)
            if codes is None and answer[0] == status:
                self.done["answers"] += 1
            else:
                self.refused(answer, status, codes or set())

    # Byte streams

    async def connect(self):
        """Through to a port beside the agent; some leave, some are left, some are not let in."""
        works = (self.repeat, self.leave_connection, self.be_left, self.be_let_down)
        (work,) = self.random.choices(works, (11, 4, 3, 2))
        await work()

    async def repeat(self):
        data = self.some(300_000)
        async with self.connection(self.settings["stays"], self.echo.port) as program, self.pushing(program, data):
            got = await program.process.stdout.read()
            if got != data:
                raise Wrong(f"{len(got)} bytes came back of {len(data)}")
            await program.must_end_with(0)
        self.done["streams"] += 1

    async def leave_connection(self):
        data = self.some(300_000)
        async with self.connection(self.settings["stays"], self.echo.port) as program, self.pushing(program, data):
            wanted = self.random.randint(1, len(data))
            if await program.process.stdout.readexactly(wanted) != data[:wanted]:
                raise Wrong(f"{wanted} bytes that are not those sent")
        self.done["aborted"] += 1

    async def be_left(self):
        """By a port that resets its connection."""
        data = self.some(10_000) + bytes(self.echo.CUT_AFTER)
        async with self.connection(self.settings["stays"], self.echo.breaking_port) as program:
            async with self.pushing(program, data):
                got = await program.process.stdout.read()
            if not data.startswith(got):
                raise Wrong(f"{len(got)} bytes that are not those sent, of a connection that broke")
            await program.must_end_with(74)
        self.done["aborted"] += 1

    async def be_let_down(self):
        """By an agent that does not offer the port, and by one that is nowhere."""
        stays = self.settings["stays"]
        name, port, code = self.random.choice(((stays, self.port, 77), ("nobody", self.echo.port, 69)))
        async with self.connection(name, port) as program:
            await program.must_end_with(code)

    @contextlib.asynccontextmanager
    async def connection(self, name, port):
        words = ["connect", f"{name}:{port}", "--url", self.settings["url"], "--token-file", self.folder / "connect"]
        self.done["connections"] += 1
        async with self.program(*words) as program:
            yield program

    @contextlib.asynccontextmanager
    async def pushing(self, program, data):
        """Sends all of it, and then the end, meanwhile."""
        task = asyncio.create_task(self.push(program.process.stdin, data))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @staticmethod
    async def push(stdin, data):
        # Who leaves in the middle takes no more.
        with contextlib.suppress(OSError):
            for start in range(0, len(data), 30_000):
                stdin.write(data[start : start + 30_000])
                await stdin.drain()
            stdin.close()

    def program(self, *words):
        trust = ["--ca", self.settings["authority"]] if self.tls else []
        return Program(self.settings["binary"], self.folder, *words, *trust)

    # Agents

    @contextlib.asynccontextmanager
    async def agent(self, name, url=None):
        """One that answers."""
        words = ["agent", "--url", url or self.settings["url"], "--name", name]
        words += ["--token-file", self.folder / "agent", "--local", self.settings["model"]]
        async with self.program(*words) as program:
            await self.wait_for(name, program)
            self.done["agents"] += 1
            yield program

    async def wait_for(self, name, program):
        async with self.talk() as talk:
            while not self.judge(name, await self.ask(talk, name, "GET", "/api/version"), VERSION):
                if program.process.returncode is not None:
                    raise Wrong(await program.ending())
                await asyncio.sleep(0.05)

    async def come_and_go(self):
        """An agent that answers, and then leaves in good order, dies, or dies and is started again at once."""
        slot = self.guests.pop()
        self.count += 1
        # Under its usual name, which others ask too, or under one that is never heard again.
        name = slot if self.random.random() < 0.6 else f"passer-{self.count}"
        try:
            is_killed = self.random.random() < 0.5
            async with self.agent(name) as program, self.talk() as talk:
                for _ in range(self.random.randint(1, 3)):
                    self.expect(await self.ask(talk, name, "GET", "/api/version"), VERSION)
                await self.end_in_the_middle(name, program, talk, is_killed)
            if is_killed and self.random.random() < 0.5:
                async with self.agent(name) as program:
                    program.terminate()
                    await program.must_end_with(0)
            async with self.talk() as talk:
                if self.judge(name, await self.ask(talk, name, "GET", "/api/version"), VERSION):
                    raise Wrong(f"{name} answers although it has ended")
        finally:
            self.guests.append(slot)

    async def end_in_the_middle(self, name, program, talk, is_killed):
        """Who was asked to end finishes its answer; that of one that was killed breaks off."""
        size = (20, 500)
        await self.begin(talk, name, "POST", "/api/chat", json.dumps(question(*size, pace=0.03)).encode())
        status, fields = await talk.head()
        await asyncio.sleep(self.random.random() / 3)
        program.kill() if is_killed else program.terminate()
        try:
            self.expect((status, fields, await talk.body(fields)), lines(*size))
        except Broken as error:
            if not is_killed:
                raise Wrong(f"an agent that was asked to end did not finish: {error.body[-200:]!r}") from None
            self.broke_off(error.body, lines(*size))
        await program.must_end_with(-9 if is_killed else 0)

    async def lose_the_line(self):
        """An agent whose connection is cut in the middle of an answer, and which goes on with it."""
        async with Relay(self.port) as relay:
            url = f"{self.settings['url'].rpartition(':')[0]}:{relay.port}"
            async with self.agent(ROAMER, url) as program, self.talk() as talk:
                size = (60, 1500)
                await self.begin(talk, ROAMER, "POST", "/api/chat", json.dumps(question(*size, pace=0.03)).encode())
                status, fields = await talk.head()
                await asyncio.sleep(self.random.random() / 3)
                cut = back = time.monotonic()
                for _ in range(self.random.choice((1, 1, 2))):
                    back = await relay.cut()
                    await asyncio.sleep(self.random.random() / 5)
                try:
                    self.expect((status, fields, await talk.body(fields)), lines(*size))
                    self.done["resumed"] += 1
                except Broken as error:
                    # The rest of the grace is for its handshakes.
                    if back - cut < self.settings["grace"] / 2:
                        raise Wrong(f"an agent was back in {back - cut:.1f} s, and its answer broke off") from None
                    self.broke_off(error.body, lines(*size))
                program.terminate()
                await program.must_end_with(0)

    # All of them

    CLIENTS = (
        (read_answers, 3, False), (leave, 2, False), (ask_by_socket, 2, False), (look, 1, False),
        (be_refused, 1, False), (connect, 2, False), (come_and_go, 2, False), (lose_the_line, 1, False),
    )


if __name__ == "__main__":
    Tunnelled.main()
