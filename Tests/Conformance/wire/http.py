"""Responses, read by the letter of RFC 9112 and RFC 9110: what a server must never send fails the case that saw it."""

import email.utils
import re
import time

from .tcp import Closed, Connection

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) ([\t -~\x80-\xff]*)")
FIELD_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*"
)
IMF_DATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} "
    r"[0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
)
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

#: Fields of which a message has one at most.
SINGLE = ("content-length", "transfer-encoding", "date", "content-type", "etag", "location", "server", "retry-after")


def get(target="/echo", version="1.1", fields="", host="gateway.test"):
    """A GET as bytes. `fields` are whole lines."""
    host = f"Host: {host}\r\n" if host is not None else ""
    return f"GET {target} HTTP/{version}\r\n{host}{fields}\r\n".encode("latin-1")


def post(body=b"", fields=None, target="/echo", version="1.1"):
    """A POST as bytes, with Content-Length unless `fields` say otherwise."""
    fields = f"Content-Length: {len(body)}\r\n" if fields is None else fields
    return f"POST {target} HTTP/{version}\r\nHost: gateway.test\r\n{fields}\r\n".encode("latin-1") + body


def chunked(body, fields="Transfer-Encoding: chunked\r\n", **options):
    """A POST whose body is `body`, already in the chunked coding or in what should be taken for it."""
    return post(body, fields, **options)


#: A request that would answer with this word if it were ever taken for one.
CANARY = post(b"canary-answered")


class Response:
    def __init__(self, status, fields):
        self.status = status
        self.fields = fields
        self.body = b""
        self.trailers = []
        #: "none", "length", "chunked" or "close".
        self.framing = "none"

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def options(self, name="connection"):
        return [word.strip().lower() for line in self.all(name) for word in line.split(",") if word.strip()]

    @property
    def keeps_connection(self):
        return "close" not in self.options() and self.framing != "close"

    def __repr__(self):
        return f"<{self.status} {self.fields} {self.body[:80]!r}>"


class HTTPConnection(Connection):
    """Sends bytes, reads responses."""

    def response(self, method="GET", request_version="1.1"):
        """The next response, interim ones included."""
        response = self._head()
        self._check(response, method, request_version)
        self._body(response, method)
        return response

    def final(self, method="GET", request_version="1.1"):
        """The next response that is not an interim one."""
        while (response := self.response(method, request_version)).status < 200:
            pass
        return response

    def responses_to_end(self, method="GET", request_version="1.1"):
        """Everything until the gateway closes; whatever is no whole response fails."""
        responses = []
        while self.buffer or self.fill():
            responses.append(self.response(method, request_version))
        return responses

    def _head(self):
        head = self.read_until(b"\r\n\r\n")
        lines = head[:-4].split(b"\r\n")
        found = STATUS_LINE.fullmatch(lines[0])
        assert found, f"RFC 9112 4: not a status line: {lines[0]!r}"
        return Response(int(found[1]), self._fields(lines[1:]))

    @staticmethod
    def _fields(lines):
        fields = []
        for line in lines:
            found = FIELD_LINE.fullmatch(line)
            assert found, f"RFC 9112 5: not a field line: {line!r}"
            fields.append((found[1].decode(), found[2].decode("latin-1")))
        return fields

    def _check(self, response, method, request_version):
        for name in SINGLE:
            assert len(response.all(name)) <= 1, f"RFC 9110 5.3: {name} is sent twice: {response}"
        length, coding = response.get("content-length"), response.get("transfer-encoding")
        assert length is None or length.isascii() and length.isdigit(), f"RFC 9110 8.6: Content-Length {length!r}"
        assert length is None or coding is None, f"RFC 9112 6.2: both Content-Length and Transfer-Encoding: {response}"
        if response.status < 200 or response.status == 204:
            assert length is None and coding is None, f"RFC 9110 8.6, RFC 9112 6.1: framing in {response}"
        if request_version == "1.0":
            assert coding is None, f"RFC 9112 6.1: Transfer-Encoding to HTTP/1.0: {response}"
            assert response.status >= 200, f"RFC 9110 15.2: an interim response to HTTP/1.0: {response}"
        if response.status >= 200:
            self._check_date(response.get("date"))
        if response.status == 101 or response.get("upgrade"):
            assert "upgrade" in response.options(), f"RFC 9110 7.8: Upgrade without Connection: upgrade: {response}"
        required = {401: "www-authenticate", 405: "allow", 407: "proxy-authenticate", 426: "upgrade", 101: "upgrade"}
        if name := required.get(response.status):
            assert response.get(name) is not None, f"RFC 9110 15: {response.status} without {name}: {response}"
        for option in response.options():
            assert TOKEN.fullmatch(option), f"RFC 9110 7.6.1: Connection option {option!r}"

    @staticmethod
    def _check_date(date):
        assert date is not None, "RFC 9110 6.6.1: a response without Date"
        assert IMF_DATE.fullmatch(date), f"RFC 9110 5.6.7: Date is {date!r}"
        away = abs(email.utils.parsedate_to_datetime(date).timestamp() - time.time())
        assert away < 5, f"RFC 9110 6.6.1: Date is {away} s away"

    def _body(self, response, method):
        """RFC 9112 6.3, in its order."""
        if method == "HEAD" or response.status < 200 or response.status in (204, 304):
            return
        if response.get("transfer-encoding") is not None:
            assert response.options("transfer-encoding")[-1] == "chunked", f"RFC 9112 6.1: {response}"
            response.framing = "chunked"
            response.body = self._chunks(response)
        elif (length := response.get("content-length")) is not None:
            response.framing = "length"
            response.body = self.read(int(length))
        else:
            response.framing = "close"
            response.body = self.read_to_end()
            assert not self.was_reset, "a body that ends with the connection was cut short by a reset"

    def _chunks(self, response):
        body = bytearray()
        while True:
            line = self.read_until(b"\r\n")[:-2]
            assert re.fullmatch(rb"[0-9A-Fa-f]+(;.*)?", line), f"RFC 9112 7.1: chunk size line {line!r}"
            size = int(line.split(b";")[0], 16)
            if size == 0:
                break
            body += self.read(size)
            assert self.read(2) == b"\r\n", "RFC 9112 7.1: a chunk without its CRLF"
        while (line := self.read_until(b"\r\n")) != b"\r\n":
            response.trailers += self._fields([line[:-2]])
        return bytes(body)


def exchange(gateway, data, method="GET", request_version="1.1"):
    """Sends `data`, then the end, and returns all responses: a request that keeps its connection shows by its FIN."""
    with HTTPConnection(gateway) as connection:
        connection.send(data).half_close()
        return connection.responses_to_end(method, request_version)


def accepted(gateway, data, method="GET", status=200, request_version="1.1"):
    """`data` is one good request, answered as such, and the next one on its connection is, too."""
    with HTTPConnection(gateway) as connection:
        connection.send(data)
        response = connection.final(method, request_version)
        assert response.status == status, f"{response.status} {response.body[:300]!r}"
        if response.keeps_connection:
            connection.send(CANARY)
            following = connection.final("POST")
            assert (following.status, following.body) == (200, b"canary-answered"), "the next request was misread"
        else:
            connection.expect_end()
        return response


def refused(gateway, data, *statuses, follow=CANARY):
    """`data` is answered once, with one of `statuses` (any 4xx or 501 or 505 if none is named), and then the
    connection is closed: what follows it, and what is hidden in it, is never answered."""
    with HTTPConnection(gateway) as connection:
        connection.send(data + follow)
        try:
            responses = connection.responses_to_end()
        except Closed as error:
            raise AssertionError(f"the refusal is not a whole response: {error}") from None
        assert responses, "closed without an answer"
        first = responses[0]
        allowed = statuses or (*range(400, 500), 501, 505)
        assert first.status in allowed, f"answered {first.status} {first.body[:200]!r}, expected {statuses or '4xx'}"
        assert (
            len(responses) == 1
        ), f"{len(responses) - 1} more answered on a connection that had to be closed: {responses[1:]}"
        assert b"canary" not in first.body, "the body of the next request was taken for this one's"
        assert "close" in first.options(), "RFC 9112 9.6: a last response without Connection: close"
        return first
