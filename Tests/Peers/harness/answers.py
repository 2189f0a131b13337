"""A small HTTP server whose answers a test writes itself, and which remembers what it was asked."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """`routes` maps a path without query to a function of the request handler, which writes the whole answer."""

    def __init__(self, routes, port=0):
        self.requests = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self):
                # A client that goes away in the middle is what some tests are about.
                with contextlib.suppress(ConnectionError):
                    super().handle_one_request()

            def __getattr__(self, name):
                if not name.startswith("do_"):
                    raise AttributeError(name)
                return self.answer

            def answer(self):
                outer.requests.append((self.command, self.path, self.headers))
                routes[self.path.partition("?")[0]](self)

            def read_body(self):
                if self.headers["Transfer-Encoding"] != "chunked":
                    return self.rfile.read(int(self.headers["Content-Length"] or 0))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def respond(handler, body=b"", status=200, **headers):
    """Writes an answer; `content_type=` becomes Content-Type."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-").title(), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


def reply(body=b"", status=200, **headers):
    """A route that answers the same every time."""

    def answer(handler):
        handler.read_body()
        respond(handler, body, status, **headers)

    return answer
