"""The paths of Ollama's own API, and what they answer."""

import hashlib

from .behaviour import text
from .exchange import TEXT, compact

VERSION = "0.12.0"
MODELS = ("llama3.2:latest", "all-minilm:latest")
#: So that two answers are the same bytes.
_MOMENT = "2026-01-01T00:00:00.%06dZ"
_DETAILS = {
    "parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"],
    "parameter_size": "3.2B", "quantization_level": "Q4_K_M",
}


def moment(number=0):
    return _MOMENT % number


def named(model):
    """The full name of a model that there is, else `None`."""
    full = model if ":" in (model or "") else f"{model}:latest"
    return full if full in MODELS else None


def vector(words):
    """Eight numbers that differ from those of any other text, exact in 32 bits."""
    return [(byte - 128) / 256 for byte in hashlib.sha256(words.encode()).digest()[:8]]


def texts(value):
    return [value] if isinstance(value, str) else list(value or [])


def figures(behaviour):
    """The statistics at the end of an answer; durations are nanoseconds."""
    return {
        "total_duration": 4_935_886_791, "load_duration": 534_986_708, "prompt_eval_count": 26,
        "prompt_eval_duration": 107_345_000, "eval_count": behaviour.chunks, "eval_duration": 4_289_432_000,
    }


def _listed(name):
    return {
        "name": name, "model": name, "modified_at": moment(), "size": 2_019_393_189,
        "digest": hashlib.sha256(name.encode()).hexdigest(), "details": _DETAILS,
    }


class Speech:
    """NDJSON: one object per line, one line per chunk. `saying` puts the words where the API has them."""

    kind = "application/x-ndjson"

    def __init__(self, behaviour, model, saying):
        self.behaviour = behaviour
        self.model = model
        self.saying = saying

    def chunk(self, number):
        words = text(1, self.behaviour.size, number)
        line = {"model": self.model, "created_at": moment(number), **self.saying(words), "done": False}
        return compact(line) + b"\n"

    def ending(self):
        return [compact(self.whole("", self.behaviour.chunks)) + b"\n"]

    def failure(self, why):
        return compact({"error": why}) + b"\n"

    def whole(self, words, number=0, reason="stop"):
        figured = figures(self.behaviour) if reason == "stop" else {}
        return {
            "model": self.model, "created_at": moment(number), **self.saying(words), "done": True,
            "done_reason": reason, **figured,
        }


class Progress(Speech):
    """What a pull, a push and the like say while they work."""

    def __init__(self, behaviour, *statuses):
        self.behaviour = behaviour
        self.statuses = statuses

    def chunk(self, number):
        status = self.statuses[min(number, len(self.statuses) - 1)]
        return compact({"status": status}) + b"\n"

    def ending(self):
        return [compact({"status": "success"}) + b"\n"]


async def refuse(exchange, status, why):
    await exchange.answer({"error": why}, status)


async def _speak(exchange, asked, saying, has_prompt):
    if asked is None:
        return await refuse(exchange, 400, "missing request body")
    name = asked.get("model") or ""
    if not named(name):
        return await refuse(exchange, 404, f"model '{name}' not found")
    exchange.wants((asked.get("options") or {}).get("num_predict"))
    speech = Speech(exchange.behaviour, name, saying)
    if not has_prompt:
        reason = "unload" if asked.get("keep_alive") == 0 else "load"
        return await exchange.answer(speech.whole("", reason=reason))
    if asked.get("stream", True):
        return await exchange.stream(speech)
    await exchange.answer(speech.whole(await exchange.all_words()))


async def generate(exchange, asked):
    await _speak(exchange, asked, lambda words: {"response": words}, bool((asked or {}).get("prompt")))


async def chat(exchange, asked):
    def saying(words):
        return {"message": {"role": "assistant", "content": words}}

    await _speak(exchange, asked, saying, bool((asked or {}).get("messages")))


async def embed(exchange, asked):
    vectors = [vector(words) for words in texts((asked or {}).get("input"))]
    await exchange.answer({
        "model": (asked or {}).get("model"), "embeddings": vectors, "total_duration": 14_143_917,
        "load_duration": 1_019_500, "prompt_eval_count": 8,
    })


async def embeddings(exchange, asked):
    await exchange.answer({"embedding": vector((asked or {}).get("prompt", ""))})


async def running(exchange, asked):
    await exchange.answer("Ollama is running".encode(), 200, TEXT)


async def version(exchange, asked):
    await exchange.answer({"version": VERSION})


async def tags(exchange, asked):
    await exchange.answer({"models": [_listed(name) for name in MODELS]})


async def loaded(exchange, asked):
    one = _listed(MODELS[0]) | {"expires_at": moment(), "size_vram": 2_019_393_189}
    await exchange.answer({"models": [one]})


async def show(exchange, asked):
    name = (asked or {}).get("model") or ""
    if not named(name):
        return await refuse(exchange, 404, f"model '{name}' not found")
    await exchange.answer({
        "modelfile": f"FROM {name}\n", "parameters": 'stop "<|eot_id|>"', "template": "{{ .Prompt }}",
        "details": _DETAILS, "model_info": {"general.architecture": "llama", "llama.context_length": 131_072},
        "capabilities": ["completion"],
    })


def _working(*statuses):
    async def work(exchange, asked):
        if (asked or {}).get("stream", True):
            await exchange.stream(Progress(exchange.behaviour, *statuses))
        else:
            await exchange.answer({"status": "success"})

    return work


async def silently(exchange, asked):
    await exchange.answer(b"", 200, TEXT)


ROUTES = {
    "/": {"GET": running, "HEAD": running},
    "/api/version": {"GET": version, "HEAD": version},
    "/api/tags": {"GET": tags, "HEAD": tags},
    "/api/ps": {"GET": loaded},
    "/api/show": {"POST": show},
    "/api/generate": {"POST": generate},
    "/api/chat": {"POST": chat},
    "/api/embed": {"POST": embed},
    "/api/embeddings": {"POST": embeddings},
    # What changes the desktop: served, so that a test can tell a refusal on the way from one here.
    "/api/pull": {"POST": _working("pulling manifest", "verifying sha256 digest", "writing manifest")},
    "/api/push": {"POST": _working("retrieving manifest", "starting upload", "pushing manifest")},
    "/api/create": {"POST": _working("reading model metadata", "creating system layer", "writing manifest")},
    "/api/copy": {"POST": silently},
    "/api/delete": {"DELETE": silently},
}
