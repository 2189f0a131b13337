"""Many consumers, each with a token and a kept connection of its own, each asking once a second at its own moment.

    crowd.py PORT PATH TOKENS SECONDS        TOKENS is a file with one token per line, or `-N` for N without any

Speaks as the load generator does: `ready` when everybody has been answered 200 once, which may take its time; waits
for a line, says `result` after SECONDS, and leaves when its input ends. Standard library only.
"""

import asyncio
import json
import random
import sys
import time

#: Seconds to be answered 200 for the first time, and for every answer.
PATIENCE = 120
ANSWER = 10


class Consumer:
    def __init__(self, port, path, token):
        credential = f"Authorization: Bearer {token}\r\n" if token else ""
        self.port = port
        self.question = f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{credential}\r\n".encode()
        self.writer = None

    async def ask(self):
        """The status, after the whole answer."""
        async with asyncio.timeout(ANSWER):
            if self.writer is None:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
            self.writer.write(self.question)
            head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
            await self.body(head)
        if b"\r\nconnection: close\r\n" in head:
            self.leave()
        return int(head.split()[1])

    async def body(self, head):
        length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        if length:
            await self.reader.readexactly(int(length))
            return
        while size := int(await self.reader.readline(), 16):
            await self.reader.readexactly(size + 2)
        await self.reader.readline()

    def leave(self):
        if self.writer:
            self.writer.close()
        self.writer = None

    async def settle(self):
        """Asks until it is answered 200."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                status = await self.ask()
            except (OSError, asyncio.IncompleteReadError) as error:
                self.leave()
                status = repr(error)
            if status == 200:
                return
            if time.monotonic() > end:
                raise SystemExit(f"one consumer was never answered 200: {status}")
            await asyncio.sleep(1)

    async def live(self, seconds, times, wrong):
        end = time.monotonic() + seconds
        await asyncio.sleep(random.random())
        while (start := time.monotonic()) < end:
            try:
                status = await self.ask()
            except (OSError, asyncio.IncompleteReadError) as error:
                self.leave()
                status = repr(error)
            if status == 200:
                times.append(time.monotonic() - start)
            else:
                wrong[str(status)] = wrong.get(str(status), 0) + 1
            await asyncio.sleep(max(0, start + 1 - time.monotonic()))


def say(event, wrong, **facts):
    print(json.dumps({"event": event, "errors": sum(wrong.values()), "reasons": wrong, **facts}), flush=True)


async def main(port, path, tokens, seconds):
    if tokens.startswith("-"):
        everybody = [None] * int(tokens[1:])
    else:
        with open(tokens) as file:
            everybody = file.read().split()
    crowd = [Consumer(int(port), path, token) for token in everybody]
    # A few at a time: a thousand handshakes at once are not what is measured.
    for start in range(0, len(crowd), 50):
        await asyncio.gather(*(each.settle() for each in crowd[start:start + 50]))
    say("ready", {}, operations=len(crowd))
    if not await asyncio.to_thread(sys.stdin.readline):
        raise SystemExit("the input ended before the line that starts the run")
    times, wrong = [], {}
    await asyncio.gather(*(each.live(float(seconds), times, wrong) for each in crowd))
    times.sort()
    say("result", wrong, operations=len(times), perSecond=len(times) / float(seconds),
        milliseconds={name: times[int(len(times) * part)] * 1000 for name, part in (("p50", 0.5), ("p99", 0.99))}
        if times else None)
    await asyncio.to_thread(sys.stdin.read)


asyncio.run(main(*sys.argv[1:]))
