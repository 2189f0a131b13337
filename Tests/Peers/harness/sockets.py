"""WebSocket servers for the gateway to forward to."""

from pathlib import Path

from clients import node_ws
from .processes import Process, free_port
from .waiting import until


class NodeEcho(Process):
    """node ws, which greets with what it was asked and then repeats what it hears; its log has pings and closes."""

    def __init__(self, folder, compress=False, port=None):
        self.port = port or free_port()
        script = Path(__file__).with_name("echo_socket.js")
        settings = f'{{"port": {self.port}, "compress": {str(compress).lower()}}}'
        super().__init__(f"node-echo-{self.port}", ["node", script, settings], folder, node_ws.environment())
        until(lambda: "listening" in self.stdout or self.exit_code is not None, "node ws to listen")
        assert self.exit_code is None, self.tail()

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def closes(self):
        return [line.removeprefix("closed ") for line in self.stdout.splitlines() if line.startswith("closed")]

    @property
    def pings(self):
        return self.stdout.count("ping\n")
