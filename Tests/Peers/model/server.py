"""The two ports: what the world asks on one, what the test asks on the other."""

import asyncio
import contextlib
import ipaddress
import json

from . import guard, ollama, openai
from .behaviour import Behaviour
from .exchange import TEXT, Died, Exchange, compact
from .record import Record
from .wire import Connection, Gone, Malformed

#: Seconds that a refused client gets to read why before the connection goes.
LINGER = 0.5


class Stand:
    """What both ports share."""

    def __init__(self, host, origins=()):
        # As the real one: who listens on more than the loopback has other walls.
        self.checks_host = ipaddress.ip_address(host).is_loopback
        self.origins = origins
        self.record = Record()
        self.released = asyncio.Event()
        self.rules = []
        self._connections = 0

    def connection(self, reader, writer):
        self._connections += 1
        return Connection(reader, writer, self._connections)

    def behaviour(self, path):
        """What the newest rule says that fits."""
        for rule in reversed(self.rules):
            if rule["path"] in (None, path):
                rule["left"] -= 1
                if rule["left"] == 0:
                    self.rules.remove(rule)
                return rule["behaviour"]
        return Behaviour()


async def _conversation(connection, serve):
    """Request after request, until somebody has had enough."""
    try:
        while (request := await connection.request()) is not None:
            if not await serve(connection, request):
                break
    except Gone:
        pass
    except Died as death:
        if death.args[0]:
            connection.reset()
    except Malformed as refusal:
        with contextlib.suppress(Gone):
            body = str(refusal).encode()
            headers = [("Content-Type", TEXT), ("Content-Length", len(body)), ("Connection", "close")]
            await connection.head(refusal.status, headers)
            await connection.bytes(body)
            await connection.linger(LINGER)
    finally:
        await connection.close()


# The model


def _route(path):
    routes = ollama.ROUTES | openai.ROUTES
    if path.startswith("/v1/models/"):
        path = "/v1/models/"
    return routes.get(path)


def _refusal(stand, exchange):
    """What is answered before the body is looked at, or `None`."""
    request, behaviour = exchange.request, exchange.behaviour
    if guard.is_foreign_origin(request, stand.origins) or (stand.checks_host and guard.is_foreign_host(request)):
        return exchange.answer(b"", 403, None)
    if request.method == "OPTIONS":
        return exchange.answer(b"", 204, None, *guard.preflight())
    if behaviour.status and behaviour.early:
        return _refused(exchange)
    return None


def _refused(exchange):
    refuse = openai.refuse if exchange.request.path.startswith("/v1/") else ollama.refuse
    return refuse(exchange, exchange.behaviour.status, "the stand-in was told to refuse")


async def _answer(exchange, asked):
    methods = _route(exchange.request.path)
    if exchange.behaviour.status:
        await _refused(exchange)
    elif methods is None:
        await exchange.answer(b"404 page not found", 404, TEXT)
    elif exchange.request.method not in methods:
        await exchange.answer(b"405 method not allowed", 405, TEXT, ("Allow", ", ".join(methods)))
    else:
        await methods[exchange.request.method](exchange, asked)


async def _watched(exchange, answering):
    """Ends when the answer is written, or when the client has been seen to leave."""
    leaving = asyncio.create_task(exchange.connection.end_of_input())
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done() and not answering.done():
            leaving.result()
            exchange.entry.half_closed = True
            if not exchange.behaviour.half_close:
                raise Gone
        await answering
    finally:
        for task in (leaving, answering):
            task.cancel()
        await asyncio.gather(leaving, answering, return_exceptions=True)


async def _serve_model(stand, connection, request):
    entry = stand.record.begin(connection.number, request)
    shared = [] if guard.is_foreign_origin(request, stand.origins) else guard.shared_with(request)
    exchange = Exchange(connection, request, entry, stand.behaviour(request.path), stand.released, shared)
    try:
        if refusal := _refusal(stand, exchange):
            await refusal
            await exchange.finish_body(LINGER)
        else:
            asked = await exchange.read()
            entry.state = "answering"
            await _watched(exchange, asyncio.create_task(_answer(exchange, asked)))
    except Gone:
        entry.end("gone")
        raise
    except Malformed as refusal:
        entry.status = refusal.status
        entry.end("refused")
        raise
    except Died:
        entry.end("died")
        raise Died(exchange.behaviour.reset) from None
    entry.end("done")
    return exchange.keeps_alive


# The test's port


async def _serve_control(stand, connection, request):
    data = b"".join([block async for block in connection.body(request)])
    asked = json.loads(data) if data else {}
    answer = {}
    if request.target == "/requests" and request.method == "GET":
        answer = [entry.as_json() for entry in stand.record.entries]
    elif request.target == "/requests" and request.method == "DELETE":
        stand.record.entries.clear()
    elif request.target == "/behaviour" and request.method == "POST":
        rule = {"path": asked.pop("path", None), "left": asked.pop("times", -1), "behaviour": Behaviour(**asked)}
        stand.rules.append(rule)
    elif request.target == "/behaviour" and request.method == "DELETE":
        stand.rules.clear()
    elif request.target == "/release" and request.method == "POST":
        # Whoever hangs now goes on; whoever comes later hangs anew.
        stand.released.set()
        stand.released = asyncio.Event()
    else:
        raise Malformed(404, "no such control")
    body = compact(answer)
    await connection.head(200, [("Content-Type", "application/json"), ("Content-Length", len(body))])
    await connection.bytes(body)
    return True


async def listen(host, port=0, control_port=0, origins=()):
    """Both servers and the stand behind them. The test's port is on the loopback, whatever the other is on."""
    stand = Stand(host, origins)

    def starter(serve):
        async def start(reader, writer):
            await _conversation(stand.connection(reader, writer), lambda *each: serve(stand, *each))

        return start

    model = await asyncio.start_server(starter(_serve_model), host, port, backlog=4096)
    control = await asyncio.start_server(starter(_serve_control), "127.0.0.1", control_port)
    return model, control
