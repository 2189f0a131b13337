"""Processes that a test starts, and only those: each is stopped by its own id, and its log is kept."""

import os
import socket
import subprocess
from pathlib import Path

_given_ports = set()


def free_port():
    """A loopback port that nobody listens on, and that no other test of this run was given."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _given_ports:
            _given_ports.add(port)
            return port


def answers(port, host="127.0.0.1"):
    """Whether a TCP connection to `port` is accepted."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


class Process:
    """A running command whose output goes to files in `folder`."""

    #: Every process not yet stopped; a failed test prints their logs.
    running = []

    def __init__(self, name, command, folder, environment=None):
        self.name = name
        self.command = [str(word) for word in command]
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.stdout_path = self.folder / f"{name}.stdout"
        self.stderr_path = self.folder / f"{name}.stderr"
        with open(self.stdout_path, "wb") as out, open(self.stderr_path, "wb") as err:
            self.popen = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment, cwd=self.folder
            )
        Process.running.append(self)

    @property
    def pid(self):
        return self.popen.pid

    @property
    def exit_code(self):
        """`None` while it runs."""
        return self.popen.poll()

    @property
    def stdout(self):
        return self.stdout_path.read_text(errors="replace")

    @property
    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def terminate(self):
        self.popen.terminate()

    def wait(self, seconds=30):
        """The exit code; fails if there is none within `seconds`."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} (pid {self.pid}) still runs after {seconds} s") from None

    def stop(self, patience=10):
        if self.exit_code is None:
            self.popen.terminate()
            try:
                self.popen.wait(patience)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        if self in Process.running:
            Process.running.remove(self)

    def tail(self, lines=60):
        """The end of both outputs, for the report of a failed test."""
        parts = [" ".join(self.command)]
        for stream, text in (("stdout", self.stdout), ("stderr", self.stderr)):
            if text:
                parts.append(f"--- {stream}")
                parts.extend(text.splitlines()[-lines:])
        return "\n".join(parts)


def run(command, seconds=60, environment=None, check=True, folder=None, text=""):
    """Runs `command` to its end, with `text` to read, and returns the completed process, output as bytes."""
    command = [str(word) for word in command]
    done = subprocess.run(
        command, input=text.encode(), capture_output=True, timeout=seconds, env=environment, cwd=folder
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr.decode(errors='replace')}")
    return done


def bare_environment(home):
    """Nothing of the caller's settings: what a gateway reads is what the test wrote."""
    names = ("PATH", "ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return kept | {"HOME": str(home), "LANG": "C.UTF-8"}
