"""One run of the load generator, on the load core."""

import json
import selectors
import subprocess
import time

from .machine import Failure


class Load:
    """`benchload` with a pipe to either end; use it in a `with`. It tells what happened in lines of JSON."""

    def __init__(self, lab, mode, server, *options):
        arguments = [mode, "--port", server.port, "--path", server.path, *options]
        if server.token and mode.startswith("ws-"):
            arguments += ["--token", server.token]
        if server.tls:
            arguments += ["--tls", lab.certificate.chain]
        self.command = ["taskset", "-c", str(lab.load_core), str(lab.benchload), *map(str, arguments)]

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.unread = b""
        return self

    def __exit__(self, kind, *_):
        self.let_go()
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        complaint = self.process.stderr.read().decode(errors="replace").strip()
        self.process.stdout.close()
        self.process.stderr.close()
        if code != 0 and kind is None:
            raise Failure(complaint or f"the load generator ended with exit code {code}")

    def go(self):
        try:
            self.process.stdin.write(b"go\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended; the next event says why

    def let_go(self):
        """The end of its input is its sign to close the sockets and end."""
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass

    def event(self, name, seconds):
        """The next line, which must be `name` and must not report errors."""
        line = self.read_line(time.monotonic() + seconds)
        if line is None:
            self.let_go()
            complaint = self.process.stderr.read().decode(errors="replace").strip()
            raise Failure(complaint or f"the load generator ended before '{name}'")
        event = json.loads(line)
        if event["errors"]:
            reasons = ", ".join(f"{reason} ({count}x)" for reason, count in event["reasons"].items())
            raise Failure(f"{event['errors']} sockets failed: {reasons}")
        if event["event"] != name:
            raise Failure(f"the load generator said '{event['event']}' instead of '{name}'")
        return event

    def read_line(self, deadline):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.unread:
                if not selector.select(max(0, deadline - time.monotonic())):
                    raise Failure("the load generator said nothing in time")
                block = self.process.stdout.read1(65536)
                if not block:
                    return None
                self.unread += block
        line, _, self.unread = self.unread.partition(b"\n")
        return line
