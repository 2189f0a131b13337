"""What the stand-in was asked, and what became of it."""

import hashlib
import time
from dataclasses import dataclass, field

#: Requests remembered; older ones are forgotten.
KEPT = 100_000


@dataclass
class Entry:
    #: Counted from 1, as is the connection that it came on.
    number: int
    connection: int
    method: str
    target: str
    headers: list
    body_bytes: int = 0
    body_sha256: str = ""
    #: Whether the body came to its end.
    body_complete: bool = False
    #: `None` until the head of the answer is written.
    status: "int | None" = None
    #: Written, that is: taken by the kernel.
    chunks: int = 0
    #: "reading", "answering", "done", "refused" (its framing is wrong), "gone" (the client left first) or "died".
    state: str = "reading"
    half_closed: bool = False
    #: CLOCK_MONOTONIC in nanoseconds, the same for all processes of a machine.
    came_at: int = field(default_factory=time.monotonic_ns)
    first_chunk_at: "int | None" = None
    ended_at: "int | None" = None
    _digest: object = field(default_factory=hashlib.sha256, repr=False)

    def read(self, block):
        self.body_bytes += len(block)
        self._digest.update(block)

    def read_all(self):
        self.body_complete = True
        self.body_sha256 = self._digest.hexdigest()

    def wrote_chunk(self):
        self.chunks += 1
        self.first_chunk_at = self.first_chunk_at or time.monotonic_ns()

    def end(self, state):
        self.state = state
        self.ended_at = time.monotonic_ns()

    def as_json(self):
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}


class Record:
    def __init__(self):
        self.entries = []
        self._count = 0

    def begin(self, connection, request):
        self._count += 1
        entry = Entry(self._count, connection, request.method, request.target, request.headers)
        self.entries.append(entry)
        del self.entries[:-KEPT]
        return entry
