"""Debian's node-ws, by the script next to this file."""

import base64
import json
import os
import subprocess
from pathlib import Path

from . import LAST_WORD, PATIENCE, Transcript

#: Where Debian keeps its node modules; a nodejs from elsewhere does not look there by itself.
MODULES = "/usr/share/nodejs"


def environment():
    # Where `localhost` is ::1 too, node tries that alone; the tests' servers stand on 127.0.0.1.
    order = "--dns-result-order=ipv4first"
    return os.environ | {"NODE_PATH": MODULES, "NODE_NO_WARNINGS": "1", "NODE_OPTIONS": order}


def converse(job):
    messages = [
        [_pack(part) for part in (message if isinstance(message, tuple) else (message,))]
        for message in [*job.messages, LAST_WORD]
    ]
    question = {"url": job.url, "authority": str(job.authority), "messages": messages, "pings": job.pings}
    script = Path(__file__).with_suffix(".js")
    done = subprocess.run(
        ["node", script], input=json.dumps(question).encode(), capture_output=True, timeout=PATIENCE, env=environment()
    )
    assert done.returncode == 0, done.stderr.decode()
    answer = json.loads(done.stdout)
    replies = [_unpack(reply) for reply in answer["replies"]]
    return Transcript(replies, answer["extensions"], answer["pings"], answer["closeCode"])


def _pack(part):
    if isinstance(part, str):
        return {"text": part}
    return {"binary": base64.b64encode(part).decode()}


def _unpack(part):
    return part["text"] if "text" in part else base64.b64decode(part["binary"])
