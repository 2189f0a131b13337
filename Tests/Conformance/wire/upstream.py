"""A server behind the gateway that answers what a case tells it to, byte by byte, and remembers what it was asked."""

import re
import socket
import threading

from .http import Response
from .tcp import PATIENCE

REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Z]+) (/[!-~]*) HTTP/1\.1")
FIELD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([\t -~\x80-\xff]*)")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Request(Response):
    """What came, with the reader of fields that responses have."""

    def __init__(self, method, target, fields):
        super().__init__(0, fields)
        self.method = method
        self.target = target
        self.is_whole = False


class Upstream:
    """Each case has a path of its own; `script` says what is answered there. A script may close the connection, and
    may name a signal (bytes, then `None`) where the connection is to be closed."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.script = {}
        self.requests = []
        #: Bytes that were no request by the letter of RFC 9112.
        self.nonsense = []
        self.arrived = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as reader:
            try:
                while self._one(connection, reader):
                    pass
            except (OSError, ValueError):
                pass

    def _one(self, connection, reader):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = reader.readline(100_000)
            if not line:
                if head:
                    self._note_nonsense(head)
                return False
            head += line
        lines = head[:-4].split(b"\r\n")
        found = REQUEST_LINE.fullmatch(lines[0])
        fields = [FIELD_LINE.fullmatch(line) for line in lines[1:]]
        if not found or not all(fields):
            self._note_nonsense(head)
            return False
        request = Request(
            found[1].decode(), found[2].decode(), [(f[1].decode(), f[2].decode("latin-1")) for f in fields]
        )
        with self.arrived:
            self.requests.append(request)
            self.arrived.notify_all()
        answer = self.script.get(request.target.partition("?")[0], OK)
        if isinstance(answer, tuple):  # answered before the body is read
            connection.sendall(answer[0])
            answer = answer[1]
        try:
            self._read_body(request, reader)
            request.is_whole = True
        except (OSError, ValueError, AssertionError):
            return False
        finally:
            with self.arrived:
                self.arrived.notify_all()
        pieces = answer if isinstance(answer, list) else [answer]
        for piece in pieces:
            if piece is None:
                return False
            connection.sendall(piece)
        return True

    def _note_nonsense(self, data):
        with self.arrived:
            self.nonsense.append(data)

    def _read_body(self, request, reader):
        coding, length = request.get("transfer-encoding"), request.get("content-length")
        assert coding is None or length is None
        if length is not None:
            request.framing = "length"
            request.body = reader.read(int(length))
            assert len(request.body) == int(length)
        elif coding is not None:
            assert coding == "chunked"
            request.framing = "chunked"
            while size := int(reader.readline().strip(), 16):
                piece = reader.read(size)
                assert len(piece) == size
                request.body += piece
                assert reader.read(2) == b"\r\n"
            while (line := reader.readline()) != b"\r\n":
                assert line.endswith(b"\r\n")
                request.trailers.append(line)

    def at(self, path):
        """The requests that came for `path`."""
        with self.arrived:
            return [request for request in self.requests if request.target.partition("?")[0] == path]

    def only(self, path):
        found = self.at(path)
        assert len(found) == 1, f"{len(found)} requests for {path}"
        return found[0]
