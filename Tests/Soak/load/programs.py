"""What stands around the tunnel's clients: programs that they run, TCP servers for those to reach, a line to cut."""

import asyncio
import contextlib
import os
import signal
import socket
import struct
import time

from harness.processes import bare_environment

from conversations import Wrong


class Program:
    """A `gateway` that runs in `folder` with these words; the end of its `async with` kills it."""

    def __init__(self, binary, folder, *words):
        self.binary, self.folder, self.words = binary, folder, [str(word) for word in words]

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(
            self.binary, *self.words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, env=bare_environment(self.folder) | {"LOG_LEVEL": "error"}, cwd=self.folder)
        return self

    async def __aexit__(self, *_):
        self.kill()
        # asyncio takes no process for ended that has said more than was read.
        await self.process.stdout.read()
        await self.process.wait()

    def kill(self):
        self.signal(signal.SIGKILL)

    def terminate(self):
        self.signal(signal.SIGTERM)

    def signal(self, number):
        # Its own methods look first whether it has ended, and take the exit code from whoever waits for that.
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    async def must_end_with(self, code):
        if await self.process.wait() != code:
            raise Wrong(f"{await self.ending()}; {code} was expected")

    async def ending(self):
        """How it ended, in words."""
        said = (await self.process.stderr.read()).decode(errors="replace")
        return f"`gateway {' '.join(self.words[:2])}` ended with {self.process.returncode}: {said[-600:]}"


class Echo:
    """TCP servers that repeat what they hear: one to the end, one that resets its connection after CUT_AFTER bytes."""

    CUT_AFTER = 40_000

    def __init__(self):
        #: Connections open now.
        self.open = 0

    async def start(self):
        self.servers = [await asyncio.start_server(serve, "127.0.0.1", 0) for serve in (self.repeat, self.break_off)]
        self.port, self.breaking_port = (server.sockets[0].getsockname()[1] for server in self.servers)

    async def repeat(self, reader, writer):
        async with self.counted(writer):
            while block := await reader.read(65536):
                writer.write(block)
                await writer.drain()

    async def break_off(self, reader, writer):
        async with self.counted(writer):
            writer.write(await reader.readexactly(self.CUT_AFTER))
            # Without this an abort would be an end in good order.
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    @contextlib.asynccontextmanager
    async def counted(self, writer):
        self.open += 1
        try:
            # A client that goes away in the middle is part of the load.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                yield
        finally:
            self.open -= 1
            writer.close()


class Relay:
    """A line to a port that can be cut; use it in an `async with`."""

    def __init__(self, port):
        self.target = port
        self.writers = set()
        self.taken = asyncio.Event()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        self.abort()

    async def serve(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        pair = {writer, far_writer}
        self.writers |= pair
        self.taken.set()
        await asyncio.gather(self.carry(reader, far_writer), self.carry(far_reader, writer))
        self.writers -= pair

    @staticmethod
    async def carry(reader, writer):
        with contextlib.suppress(OSError):
            while block := await reader.read(65536):
                writer.write(block)
                await writer.drain()
        writer.close()

    def abort(self):
        for writer in self.writers:
            writer.transport.abort()

    async def cut(self):
        """Breaks the connections there are, and returns the time when the next one has come."""
        self.taken.clear()
        self.abort()
        await self.taken.wait()
        return time.monotonic()
