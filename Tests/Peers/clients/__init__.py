"""The same conversation, held by every WebSocket client a user may bring.

Each module has one function `converse(job) -> Transcript`. A client that a gateway can fool or break in its own way is
worth a module; what is asserted stands in test_websocket_clients.py, once for all.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

#: Seconds that one conversation may take.
PATIENCE = 30

#: Sent after the heartbeats: the connection must still work then.
LAST_WORD = "still here"


@dataclass(frozen=True)
class Job:
    url: str
    authority: Path
    #: `str` goes as text, `bytes` as binary, a tuple as one fragmented message where the client can.
    messages: list
    #: How many pings to sit through, saying nothing, before the last word.
    pings: int

    @property
    def tls(self):
        return ssl.create_default_context(cafile=self.authority)


@dataclass
class Transcript:
    replies: list = field(default_factory=list)
    #: What the server agreed to, as the client tells it; `None` when the client cannot tell.
    extensions: str | None = None
    pings: int = 0
    close_code: int | None = None


def joined(message):
    """The message as its receiver sees it."""
    if isinstance(message, tuple):
        return message[0][:0].join(message)
    return message
