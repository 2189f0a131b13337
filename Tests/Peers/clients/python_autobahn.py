"""Debian's python3-autobahn, on asyncio."""

import asyncio
from urllib.parse import urlsplit

from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateResponse,
    PerMessageDeflateResponseAccept,
)

from . import LAST_WORD, PATIENCE, Transcript, joined


def converse(job):
    return asyncio.run(asyncio.wait_for(_converse(job), PATIENCE))


async def _converse(job):
    loop = asyncio.get_running_loop()
    finished = loop.create_future()
    url = urlsplit(job.url)
    factory = WebSocketClientFactory(job.url, loop=loop)
    factory.protocol = lambda: _Conversation(job, finished)
    factory.setProtocolOptions(
        perMessageCompressionOffers=[PerMessageDeflateOffer()],
        perMessageCompressionAccept=lambda response: (
            PerMessageDeflateResponseAccept(response) if isinstance(response, PerMessageDeflateResponse) else None
        ),
    )
    await loop.create_connection(factory, url.hostname, url.port, ssl=job.tls)
    return await finished


class _Conversation(WebSocketClientProtocol):
    def __init__(self, job, finished):
        super().__init__()
        self.finished = finished
        self.transcript = Transcript()
        self.pings_wanted = job.pings
        self.to_say = [joined(message) for message in job.messages]
        self.said_last_word = False

    def onConnect(self, response):
        self.transcript.extensions = ", ".join(each.EXTENSION_NAME for each in response.extensions)

    def onOpen(self):
        self._say_next()

    def onMessage(self, payload, isBinary):
        self.transcript.replies.append(payload if isBinary else payload.decode())
        if self.said_last_word:
            self.sendClose(1000)
        else:
            self._say_next()

    def onPing(self, payload):
        self.transcript.pings += 1
        super().onPing(payload)
        self._say_next()

    def onClose(self, wasClean, code, reason):
        self.transcript.close_code = code
        if not self.finished.done():
            self.finished.set_result(self.transcript)

    def _say_next(self):
        awaiting = len(self.transcript.replies) < self.said
        if self.to_say and not awaiting:
            self._say(self.to_say.pop(0))
        elif not self.to_say and not awaiting and not self.said_last_word:
            if self.transcript.pings >= self.pings_wanted:
                self.said_last_word = True
                self._say(LAST_WORD)

    said = 0

    def _say(self, message):
        self.said += 1
        binary = isinstance(message, bytes)
        self.sendMessage(message if binary else message.encode(), isBinary=binary)
