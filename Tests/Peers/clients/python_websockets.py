"""Debian's python3-websockets."""

import asyncio

import websockets
from websockets.extensions.permessage_deflate import PerMessageDeflate

from . import LAST_WORD, PATIENCE, Transcript


def converse(job):
    return asyncio.run(asyncio.wait_for(_converse(job), PATIENCE))


async def _converse(job):
    transcript = Transcript()
    heard_enough = asyncio.Event()

    class Counting(websockets.WebSocketClientProtocol):
        async def pong(self, data=b""):
            transcript.pings += 1
            await super().pong(data)
            if transcript.pings >= job.pings:
                heard_enough.set()

    async with websockets.connect(
        job.url, ssl=job.tls, create_protocol=Counting, ping_interval=None, max_size=None
    ) as socket:
        transcript.extensions = ", ".join(
            "permessage-deflate" for each in socket.extensions if isinstance(each, PerMessageDeflate)
        )
        for message in job.messages:
            await socket.send(iter(message) if isinstance(message, tuple) else message)
            transcript.replies.append(await socket.recv())
        await heard_enough.wait()
        await socket.send(LAST_WORD)
        transcript.replies.append(await socket.recv())
        await socket.close(1000)
        transcript.close_code = socket.close_code
    return transcript
