"""Debian's python3-aiohttp."""

import asyncio

import aiohttp

from . import LAST_WORD, PATIENCE, Transcript, joined


def converse(job):
    return asyncio.run(asyncio.wait_for(_converse(job), PATIENCE))


async def _converse(job):
    transcript = Transcript()
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(
            job.url, ssl=job.tls, compress=15, autoping=False, max_msg_size=0
        ) as socket:
            transcript.extensions = "permessage-deflate" if socket.compress else ""
            for message in map(joined, job.messages):
                await _send(socket, message)
                transcript.replies.append(await _reply(socket, transcript))
            while transcript.pings < job.pings:
                await _answer(socket, await socket.receive(), transcript)
            await socket.send_str(LAST_WORD)
            transcript.replies.append(await _reply(socket, transcript))
            await socket.close(code=1000)
            transcript.close_code = socket.close_code
    return transcript


async def _send(socket, message):
    await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))


async def _answer(socket, frame, transcript):
    assert frame.type == aiohttp.WSMsgType.PING, frame
    transcript.pings += 1
    await socket.pong(frame.data)


async def _reply(socket, transcript):
    while True:
        frame = await socket.receive()
        if frame.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            return frame.data
        await _answer(socket, frame, transcript)
