"""The part of OpenAI's API that Ollama has: server-sent events, `[DONE]`, and errors in an envelope."""

import base64
import struct

from .behaviour import text
from .exchange import compact
from .ollama import MODELS, named, texts, vector

_CREATED = 1_767_225_600
_TYPES = {400: "invalid_request_error", 404: "not_found_error"}


class Speech:
    """One event per chunk. `saying` makes a choice of words and the reason to stop."""

    kind = "text/event-stream"

    def __init__(self, behaviour, asked, prefix, kind, saying):
        self.behaviour = behaviour
        self.saying = saying
        self.common = {
            "id": f"{prefix}-1", "object": kind, "created": _CREATED, "model": asked["model"],
            "system_fingerprint": "fp_ollama",
        }
        self.tells_usage = bool((asked.get("stream_options") or {}).get("include_usage"))

    def usage(self):
        count = self.behaviour.chunks
        return {"prompt_tokens": 26, "completion_tokens": count, "total_tokens": 26 + count}

    def chunk(self, number):
        return self.event(self.common | {"choices": [self.saying(text(1, self.behaviour.size, number), None)]})

    def ending(self):
        yield self.event(self.common | {"choices": [self.saying("", "stop")]})
        if self.tells_usage:
            yield self.event(self.common | {"choices": [], "usage": self.usage()})
        yield b"data: [DONE]\n\n"

    def failure(self, why):
        return self.event(error(500, why))

    @staticmethod
    def event(value):
        return b"data: " + compact(value) + b"\n\n"


def error(status, why):
    return {"error": {"message": why, "type": _TYPES.get(status, "api_error"), "param": None, "code": None}}


async def refuse(exchange, status, why):
    await exchange.answer(error(status, why), status)


async def _speak(exchange, asked, prefix, kinds, streamed, whole):
    if asked is None:
        return await refuse(exchange, 400, "missing request body")
    if not named(asked.get("model")):
        return await refuse(exchange, 404, f"model '{asked.get('model')}' not found")
    exchange.wants(asked.get("max_tokens"))
    if asked.get("stream"):
        return await exchange.stream(Speech(exchange.behaviour, asked, prefix, kinds[0], streamed))
    speech = Speech(exchange.behaviour, asked, prefix, kinds[1], whole)
    choices = [whole(await exchange.all_words(), "stop")]
    await exchange.answer(speech.common | {"choices": choices, "usage": speech.usage()})


async def chat(exchange, asked):
    def streamed(words, reason):
        return {"index": 0, "delta": {"role": "assistant", "content": words}, "finish_reason": reason}

    def whole(words, reason):
        return {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": reason}

    await _speak(exchange, asked, "chatcmpl", ("chat.completion.chunk", "chat.completion"), streamed, whole)


async def complete(exchange, asked):
    def saying(words, reason):
        return {"text": words, "index": 0, "finish_reason": reason}

    await _speak(exchange, asked, "cmpl", ("text_completion", "text_completion"), saying, saying)


def _packed(numbers):
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


async def embed(exchange, asked):
    if asked is None:
        return await refuse(exchange, 400, "missing request body")
    pack = _packed if asked.get("encoding_format") == "base64" else list
    inputs = texts(asked.get("input"))
    await exchange.answer({
        "object": "list",
        "data": [{"object": "embedding", "embedding": pack(vector(each)), "index": n} for n, each in enumerate(inputs)],
        "model": asked.get("model"), "usage": {"prompt_tokens": 8, "total_tokens": 8},
    })


def _listed(name):
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "library"}


async def models(exchange, asked):
    await exchange.answer({"object": "list", "data": [_listed(name) for name in MODELS]})


async def model(exchange, asked):
    name = named(exchange.request.path.removeprefix("/v1/models/"))
    if name:
        await exchange.answer(_listed(name))
    else:
        await refuse(exchange, 404, "model not found")


ROUTES = {
    "/v1/models": {"GET": models},
    "/v1/models/": {"GET": model},
    "/v1/chat/completions": {"POST": chat},
    "/v1/completions": {"POST": complete},
    "/v1/embeddings": {"POST": embed},
}
