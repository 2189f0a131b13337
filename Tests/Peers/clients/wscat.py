"""Debian's wscat, typed at through a terminal as a person does. Text lines only."""

import fcntl
import json
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


class Session:
    """wscat as the guide uses it: `-c URL`, JSON typed and read, what it says of refusals and of the end."""

    def __init__(self, url, authority=None, headers=()):
        trust = ["--ca", authority] if authority else []
        more = [word for header in headers for word in ("-H", header)]
        self._terminal = Terminal(["wscat", "--no-color", "-P", "--slash", *trust, *more, "-c", url])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._terminal.__exit__()

    def connected(self):
        self._terminal.expect("Connected (press CTRL+C to quit)")
        return self

    def refused(self):
        """The status that came instead of an upgrade."""
        said = self._terminal.expect("error: Unexpected server response: ", _END)
        return int(said.removesuffix(_END).rpartition(" ")[2])

    def say(self, value):
        """Types a line: text as it is, anything else as JSON."""
        self._terminal.type(value if isinstance(value, str) else json.dumps(value))

    def hear(self):
        """The next message that is JSON."""
        said = self._terminal.expect("< {", _END)
        return json.loads(said[said.rindex("< {") + 2:].removesuffix(_END))

    def ping(self):
        """Sends a ping frame, and returns when the pong has come."""
        self._terminal.type("/ping walk")
        self._terminal.expect('Received pong (data: "walk")')

    def pong(self):
        """Returns when a pong frame has come, asked for or not."""
        self._terminal.expect("Received pong")

    def close(self, code=1000):
        """Closes, and returns what the end came to."""
        self._terminal.type(f"/close {code}")
        return self.closed()

    def closed(self):
        """Code and reason, once the other side has closed."""
        said = self._terminal.expect("Disconnected (code: ", ")" + _END)
        code, reason = re.search(r'code: (\d+), reason: "(.*)"\)', said).groups()
        return int(code), reason


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
        """Piece by piece, as a terminal's buffers are small; what is echoed meanwhile is read."""
        data = line.encode() + b"\r"
        for start in range(0, len(data), 512):
            os.write(self._near, data[start:start + 512])
            while select.select([self._near], [], [], 0)[0]:
                self._read_more("the end of what is typed")

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
