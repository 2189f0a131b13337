"""One of our own client programs in a process of its own, told what to do in lines, answering in lines of JSON."""

import contextlib
import json
import selectors
import subprocess
import sys
from pathlib import Path

from harness.processes import bare_environment

FOLDER = Path(__file__).resolve().parent


class Peer:
    """Runs `load/<name>.py` with `settings`; use it in a `with`."""

    def __init__(self, name, settings, folder):
        self.name = name
        self.complaints = Path(folder) / f"{name}.stderr"
        with open(self.complaints, "ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-B", FOLDER / f"{name}.py", json.dumps(settings)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=bare_environment(folder))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def ask(self, words, seconds=60):
        """Sends a line and returns the answer."""
        with contextlib.suppress(BrokenPipeError):  # it has ended, and what it left says why
            self.process.stdin.write(words.encode() + b"\n")
            self.process.stdin.flush()
        return self.hear(seconds)

    def hear(self, seconds=60):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(seconds), f"{self.name} said nothing for {seconds} s"
        line = self.process.stdout.readline()
        assert line, f"{self.name} ended: {self.complaints.read_text(errors='replace')[-2000:]}"
        return json.loads(line)

    def stop(self):
        """The end of its input is its sign to end."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
