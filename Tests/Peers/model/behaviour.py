"""What the stand-in should do: how much to say, how fast, and what to do wrong."""

import random
import string
from dataclasses import dataclass, fields

#: Letters whose number is a prime: an answer in which a block is missing or doubled differs from the right one.
_LENGTH = 65_537
PATTERN = "".join(random.Random(0x0113A).choices(string.ascii_letters + string.digits + "     ", k=_LENGTH))


def text(chunks, size, start=0):
    """What `chunks` chunks of `size` letters say, from chunk `start` on."""
    first, count = start * size % _LENGTH, chunks * size
    return (PATTERN * ((first + count) // _LENGTH + 1))[first:first + count]


@dataclass(frozen=True)
class Behaviour:
    """The key `behaviour` of a request's JSON body, or what the control port was told for those that follow.

    A place is "head", before anything is said, or a number of chunks after which it happens: 0 is after the head.
    """

    #: Letters per chunk, and how many chunks unless the request asks for a number itself.
    chunks: int = 8
    size: int = 16
    #: Seconds between two chunks, and before the head.
    pace: float = 0
    load: float = 0
    #: Says no more until it is released through the control port, or the client goes.
    hang: "str | int | None" = None
    #: Ends the connection there, as a process that dies does: by RST, or in good order but too early.
    die: "str | int | None" = None
    reset: bool = True
    #: An error event instead of the next chunk, as the real one sends if a model fails in the middle.
    fail: "int | None" = None
    #: Refused with this status instead of an answer, after the body was read; `early` is before.
    status: "int | None" = None
    early: bool = False
    #: Seconds before each 64 KiB of the request's body is read.
    reading: float = 0
    #: Whether a client that shuts down its side is still answered. Go's server takes it for gone, so the real one does.
    half_close: bool = False

    @classmethod
    def known(cls):
        return {each.name for each in fields(cls)}
