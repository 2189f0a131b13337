"""Debian's wscat, typed at through a terminal as a person does. Text lines only."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from . import LAST_WORD, PATIENCE, Transcript
from .node_ws import environment

#: wscat ends every line it prints with the default colour, even without colours.
_END = "\x1b[39m"


def can_type(message):
    """Whether `message` fits a line of a terminal."""
    return isinstance(message, str) and 0 < len(message) < 2000


def converse(job):
    with Terminal(["wscat", "--no-color", "-P", "--slash", "--ca", job.authority, "-c", job.url]) as terminal:
        terminal.expect("Connected (press CTRL+C to quit)")
        transcript = Transcript()
        for message in [*job.messages, None, LAST_WORD]:
            if message is None:
                terminal.expect(*["Received ping"] * job.pings)
                continue
            terminal.type(message)
            terminal.expect(f"< {message}{_END}")
            transcript.replies.append(message)
        terminal.type("/close 1000")
        closing = terminal.expect("Disconnected (code: ", ")")
        transcript.close_code = int(re.search(r"code: (\d+)", closing)[1])
        transcript.pings = terminal.seen.count("Received ping")
        return transcript


class Terminal:
    """A command on the far side of a pseudo-terminal, wide enough that no line wraps."""

    def __init__(self, command):
        self.seen = ""
        self._unread = ""
        self._end = time.monotonic() + PATIENCE
        self._near, far = pty.openpty()
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 8000, 0, 0))
        self._popen = subprocess.Popen(
            [str(word) for word in command],
            stdin=far, stdout=far, stderr=far, env=environment() | {"TERM": "xterm"}, start_new_session=True,
        )
        os.close(far)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()
        os.close(self._near)

    def type(self, line):
        os.write(self._near, line.encode() + b"\r")

    def expect(self, *texts):
        """Reads until each of `texts` has come, in this order, and returns what was read up to the last."""
        read = ""
        for text in texts:
            while text not in self._unread:
                self._read_more(text)
            before, _, self._unread = self._unread.partition(text)
            read += before + text
        return read

    def _read_more(self, text):
        left = self._end - time.monotonic()
        ready = left > 0 and select.select([self._near], [], [], left)[0]
        try:
            data = os.read(self._near, 65536) if ready else b""
        except OSError:  # the far side is closed
            data = b""
        assert data, f"never saw {text!r} in:\n{self.seen}"
        self.seen += data.decode(errors="replace")
        self._unread += data.decode(errors="replace")
