"""TCP servers for whatever carries bytes: one repeats, one reads to the end and says what it was."""

import hashlib
import socket
import threading


class TCPServer:
    """Serves each connection on a thread of its own with `serve(connection)`, until it is stopped."""

    def __init__(self, serve, address="127.0.0.1"):
        self._serve = serve
        self._connections = []
        self._listener = socket.create_server((address, 0), backlog=128)
        self.address = address
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self):
        threads = []
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # stopped
                break
            self._connections.append(connection)
            threads.append(threading.Thread(target=self._run, args=(connection,)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def _run(self, connection):
        # A client that goes away in the middle is what some tests are about.
        try:
            with connection:
                self._serve(connection)
        except OSError:
            pass

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._thread.join()


def echo(connection):
    """What comes goes back, the end too."""
    while block := connection.recv(65536):
        connection.sendall(block)


def digest(connection):
    """Says the SHA-256 of everything up to the client's end, which is a half-close if it wants to hear it."""
    seen = hashlib.sha256()
    while block := connection.recv(65536):
        seen.update(block)
    connection.sendall(seen.hexdigest().encode())
