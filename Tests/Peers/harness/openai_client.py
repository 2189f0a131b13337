"""OpenAI's own Python client, in the environment that scripts/pypi makes for it: a walk through what users do with it.

This file is both ends: tests call `walk`, and the client's interpreter runs the file itself.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def walk(base_url, api_key="unused", model="llama3.2", authority=None, chunks=5, headers=None):
    """What the client understood of each of its questions, as a dictionary; see `_main` for the keys.

    `base_url` ends with `/v1`. Fails with what the client said if it could not be installed or broke.
    """
    asked = {"base_url": base_url, "api_key": api_key, "model": model, "chunks": chunks, "headers": headers or {}}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "PYTHON"))}
    if authority:
        environment["SSL_CERT_FILE"] = str(authority)
        asked["authority"] = str(authority)
    done = subprocess.run(
        [ROOT / "scripts/pypi", "openai", "python", "-B", __file__], input=json.dumps(asked).encode(),
        capture_output=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return json.loads(done.stdout)


def _main(asked):
    import ssl

    import openai

    options = {}
    if "authority" in asked:
        options["http_client"] = openai.DefaultHttpxClient(verify=ssl.create_default_context(cafile=asked["authority"]))
    client = openai.OpenAI(
        base_url=asked["base_url"], api_key=asked["api_key"], default_headers=asked["headers"], max_retries=0,
        timeout=60, **options)
    question = {"model": asked["model"], "max_tokens": asked["chunks"]}
    messages = [{"role": "user", "content": "Why is the sky blue?"}]

    streamed = list(client.chat.completions.create(
        **question, messages=messages, stream=True, stream_options={"include_usage": True}))
    whole = client.chat.completions.create(**question, messages=messages)
    completed = list(client.completions.create(**question, prompt="Why?", stream=True))
    embedded = client.embeddings.create(model=asked["model"], input=["one", "two"])
    try:
        client.chat.completions.create(model="no-such-model", messages=messages)
        refusal = None
    except openai.APIStatusError as error:
        refusal = [type(error).__name__, error.status_code, error.body["message"]]
    return {
        "models": [each.id for each in client.models.list()],
        "model": client.models.retrieve(asked["model"]).id,
        "streamed": [each.choices[0].delta.content for each in streamed if each.choices],
        "streamed_usage": streamed[-1].usage.completion_tokens,
        "streamed_reason": streamed[-2].choices[0].finish_reason,
        "whole": whole.choices[0].message.content,
        "completed": [each.choices[0].text for each in completed],
        "embedded": [each.embedding for each in embedded.data],
        "refusal": refusal,
    }


if __name__ == "__main__":
    json.dump(_main(json.load(sys.stdin)), sys.stdout)
