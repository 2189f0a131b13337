"""Debian's python3-wsproto over a plain TLS socket: the strictest reader of frames here."""

import socket
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Message,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

from . import LAST_WORD, PATIENCE, Transcript


def converse(job):
    url = urlsplit(job.url)
    plain = socket.create_connection((url.hostname, url.port), timeout=PATIENCE)
    with job.tls.wrap_socket(plain, server_hostname=url.hostname) as stream:
        talk = _Talk(stream)
        target = f"{url.path}?{url.query}"
        talk.send(Request(host=url.netloc, target=target, extensions=[PerMessageDeflate()]))
        accepted = talk.next()
        assert isinstance(accepted, AcceptConnection), accepted
        talk.transcript.extensions = ", ".join(each.name for each in accepted.extensions)
        for message in job.messages:
            talk.say(message)
            talk.transcript.replies.append(talk.message())
        while talk.transcript.pings < job.pings:
            talk.pump()
        talk.say(LAST_WORD)
        talk.transcript.replies.append(talk.message())
        talk.send(CloseConnection(code=1000))
        closed = talk.next()
        assert isinstance(closed, CloseConnection), closed
        talk.transcript.close_code = closed.code
        return talk.transcript


class _Talk:
    def __init__(self, stream):
        self.stream = stream
        self.connection = WSConnection(ConnectionType.CLIENT)
        self.waiting = []
        self.transcript = Transcript()

    def send(self, event):
        self.stream.sendall(self.connection.send(event))

    def say(self, message):
        parts = message if isinstance(message, tuple) else (message,)
        for index, part in enumerate(parts):
            self.send(Message(data=part, message_finished=index == len(parts) - 1))

    def pump(self):
        """Reads once; answers pings and keeps everything else."""
        data = self.stream.recv(65536)
        self.connection.receive_data(data or None)
        for event in self.connection.events():
            assert not isinstance(event, RejectConnection), event
            if isinstance(event, Ping):
                self.transcript.pings += 1
                self.send(event.response())
            else:
                self.waiting.append(event)

    def next(self):
        while not self.waiting:
            self.pump()
        return self.waiting.pop(0)

    def message(self):
        parts = []
        while True:
            event = self.next()
            assert isinstance(event, (TextMessage, BytesMessage)), event
            parts.append(event.data)
            if event.message_finished:
                return parts[0][:0].join(bytes(part) if isinstance(part, bytearray) else part for part in parts)
