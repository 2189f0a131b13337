"""`python3 -m model`: prints where it listens as one line of JSON, then serves until SIGTERM."""

import argparse
import asyncio
import json
import signal

from .server import listen


async def main():
    parser = argparse.ArgumentParser(prog="model", description="A stand-in for an Ollama server.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--control-port", type=int, default=0, help="where tests say what to do and ask what was done")
    parser.add_argument("--origin", action="append", default=[], help="an Origin to allow besides, as OLLAMA_ORIGINS")
    options = parser.parse_args()

    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    servers = await listen(options.host, options.port, options.control_port, options.origin)
    model, control = (server.sockets[0].getsockname()[1] for server in servers)
    print(json.dumps({"port": model, "control": control}), flush=True)
    await over.wait()


asyncio.run(main())
