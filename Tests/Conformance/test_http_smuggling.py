"""Request smuggling and splitting: RFC 9112 §11.1, §11.2, and the rules of §6.3 that stand against it.

Every probe carries a second request where a laxer reader would find one. It must never be answered.
"""

import pytest
from wire.http import CANARY, HTTPConnection, chunked, exchange, get, post, refused

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
EMPTY = b"0\r\n\r\n"


def probe(fields, body):
    return b"POST /echo HTTP/1.1\r\nHost: gateway.test\r\n" + fields + b"\r\n" + body


#: Spellings of Transfer-Encoding that one reader of two takes for chunked.
DISGUISED = {
    "a space before the colon": b"Transfer-Encoding : chunked",
    "a tab before the colon": b"Transfer-Encoding\t: chunked",
    "a vertical tab before the colon": b"Transfer-Encoding\x0b: chunked",
    "a NUL before the colon": b"Transfer-Encoding\x00: chunked",
    "a no-break space before the colon": b"Transfer-Encoding\xa0: chunked",
    "a leading space": b" Transfer-Encoding: chunked",
    "a leading tab": b"\tTransfer-Encoding: chunked",
    "a leading form feed": b"\x0cTransfer-Encoding: chunked",
    "a leading NUL": b"\x00Transfer-Encoding: chunked",
    "an underscore": b"Transfer_Encoding: chunked",
    "a vertical tab before the value": b"Transfer-Encoding:\x0bchunked",
    "a form feed before the value": b"Transfer-Encoding:\x0cchunked",
    "a NUL before the value": b"Transfer-Encoding: \x00chunked",
    "a NUL after the value": b"Transfer-Encoding: chunked\x00",
    "a control after the value": b"Transfer-Encoding: chunked\x01",
    "a vertical tab after the value": b"Transfer-Encoding: chunked\x0b",
    "DEL after the value": b"Transfer-Encoding: chunked\x7f",
    "a high byte after the value": b"Transfer-Encoding: chunked\xff",
    "a high byte before the value": b"Transfer-Encoding: \xffchunked",
    "folded": b"Transfer-Encoding:\r\n chunked",
    "folded by a tab": b"Transfer-Encoding:\r\n\tchunked",
    "folded after the value": b"Transfer-Encoding: chunked\r\n ,",
    "folded into another field": b"X: y\r\n Transfer-Encoding: chunked",
    "bare LF before the name": b"X: y\nTransfer-Encoding: chunked",
    "bare CR before the name": b"X: y\rTransfer-Encoding: chunked",
    "bare LF before the value": b"Transfer-Encoding:\nchunked",
    "bare CR before the value": b"Transfer-Encoding:\rchunked",
    "bare LF after the name": b"Transfer-Encoding\n: chunked",
    "bare LF after the value": b"Transfer-Encoding: chunked\nX: y",
    "bare CR after the value": b"Transfer-Encoding: chunked\rX: y",
    "CR CR LF": b"Transfer-Encoding: chunked\r",
    "double quotes": b'Transfer-Encoding: "chunked"',
    "single quotes": b"Transfer-Encoding: 'chunked'",
    "a parameter": b"Transfer-Encoding: chunked;foo=bar",
    "a semicolon": b"Transfer-Encoding: chunked;",
    "a comma before": b"Transfer-Encoding: ,chunked",
    "a comma after": b"Transfer-Encoding: chunked,",
    "twice in a list": b"Transfer-Encoding: chunked, chunked",
    "identity before": b"Transfer-Encoding: identity, chunked",
    "identity after": b"Transfer-Encoding: chunked, identity",
    "identity": b"Transfer-Encoding: identity",
    "two lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "two lines, the first unknown": b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    "two lines, the second unknown": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "two lines in two cases": b"Transfer-Encoding: chunked\r\ntransfer-encoding: identity",
    "empty, then chunked": b"Transfer-Encoding:\r\nTransfer-Encoding: chunked",
    "a prefix": b"Transfer-Encoding: xchunked",
    "a suffix": b"Transfer-Encoding: chunkedx",
    "two words": b"Transfer-Encoding: chunked x",
    "a dotless letter": "Transfer-Encoding: chunKed".encode().replace(b"K", "\u212a".encode()),
    "a wide letter": "Transfer-Encoding: \uff43hunked".encode(),
    "a colon twice": b"Transfer-Encoding:: chunked",
    "a colon in the value": b"Transfer-Encoding: :chunked",
    "no colon": b"Transfer-Encoding chunked",
    "an equals sign": b"Transfer-Encoding= chunked",
    "a quoted name": b'"Transfer-Encoding": chunked',
    "a soft hyphen": b"Transfer\xadEncoding: chunked",
    "after an empty name": b": x\r\nTransfer-Encoding: chunked",
}

#: The same for Content-Length; the body is 5 bytes to one reader and none, or the rest, to the other.
DISGUISED_LENGTHS = {
    "a space before the colon": b"Content-Length : 5",
    "a tab before the colon": b"Content-Length\t: 5",
    "a leading space": b" Content-Length: 5",
    "an underscore": b"Content_Length: 5",
    "a plus": b"Content-Length: +5",
    "a minus": b"Content-Length: -5",
    "a list": b"Content-Length: 5, 5",
    "a list of different lengths": b"Content-Length: 5, 0",
    "two lines": b"Content-Length: 5\r\nContent-Length: 5",
    "two different lines": b"Content-Length: 0\r\nContent-Length: 5",
    "hexadecimal": b"Content-Length: 0x5",
    "an exponent": b"Content-Length: 5e0",
    "a fraction": b"Content-Length: 5.0",
    "text after": b"Content-Length: 5abc",
    "a space inside": b"Content-Length: 0 5",
    "a vertical tab before": b"Content-Length: \x0b5",
    "a NUL after": b"Content-Length: 5\x00",
    "a wide digit": "Content-Length: \uff15".encode(),
    "an Arabic digit": "Content-Length: \u0665".encode(),
    "empty": b"Content-Length:",
    "5 modulo 2^64": b"Content-Length: 18446744073709551621",
    "5 modulo 2^32": b"Content-Length: 4294967301x",
    "folded": b"Content-Length:\r\n 5",
    "bare LF before": b"X: y\nContent-Length: 5",
    "bare CR before": b"X: y\rContent-Length: 5",
    "an underscore inside": b"Content-Length: 1_0",
    "a quote": b'Content-Length: "5"',
    "a comma after": b"Content-Length: 5,",
}


class TestDisguise:
    @pytest.mark.parametrize("line", DISGUISED.values(), ids=DISGUISED)
    def test_9112_11_2_te_cl_a_disguised_coding_with_a_length(self, plain, line):
        """One reader sees the chunked coding and its end; the other a body that hides a request."""
        body = EMPTY + HIDDEN
        refused(plain, probe(b"Content-Length: %d\r\n" % len(body) + line + b"\r\n", body))

    @pytest.mark.parametrize("line", DISGUISED.values(), ids=DISGUISED)
    def test_9112_11_2_cl_te_a_disguised_coding_before_the_length(self, plain, line):
        refused(plain, probe(line + b"\r\nContent-Length: 5\r\n", EMPTY + HIDDEN))

    @pytest.mark.parametrize("line", DISGUISED.values(), ids=DISGUISED)
    def test_9112_11_2_te_te_a_disguised_coding_after_a_plain_one(self, plain, line):
        refused(plain, probe(b"Transfer-Encoding: chunked\r\n" + line + b"\r\n", EMPTY + HIDDEN))

    @pytest.mark.parametrize("line", DISGUISED.values(), ids=DISGUISED)
    def test_9112_11_2_a_disguised_coding_alone(self, plain, line):
        refused(plain, probe(line + b"\r\n", b"5\r\nhello\r\n" + EMPTY + HIDDEN))

    @pytest.mark.parametrize("line", DISGUISED_LENGTHS.values(), ids=DISGUISED_LENGTHS)
    def test_9112_11_2_a_disguised_length(self, plain, line):
        refused(plain, probe(line + b"\r\n", b"hello" + HIDDEN))

    @pytest.mark.parametrize("line", DISGUISED_LENGTHS.values(), ids=DISGUISED_LENGTHS)
    def test_9112_11_2_cl_cl_a_disguised_length_with_a_plain_one(self, plain, line):
        refused(plain, probe(b"Content-Length: 5\r\n" + line + b"\r\n", b"hello" + HIDDEN))

    @pytest.mark.parametrize("line", DISGUISED_LENGTHS.values(), ids=DISGUISED_LENGTHS)
    def test_9112_11_2_a_disguised_length_with_chunked(self, plain, line):
        refused(plain, probe(line + b"\r\nTransfer-Encoding: chunked\r\n", EMPTY + HIDDEN))


class TestConflict:
    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
    @pytest.mark.parametrize("version", ["1.1", "1.0"])
    def test_9112_6_3_length_and_coding_whatever_the_method(self, plain, method, version):
        fields = "Host: gateway.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
        head = f"{method} /echo HTTP/{version}\r\n{fields}\r\n".encode()
        refused(plain, head + EMPTY + HIDDEN, 400)

    @pytest.mark.parametrize("length", [0, 4, 5, 6, 44, 49])
    def test_9112_6_3_every_length_beside_chunked(self, plain, length):
        refused(plain, probe(b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % length, EMPTY + HIDDEN), 400)

    @pytest.mark.parametrize("option", ["Transfer-Encoding", "Content-Length", "Host", "close, Transfer-Encoding"])
    def test_9110_7_6_1_connection_cannot_remove_what_frames_or_routes(self, plain, option):
        refused(plain, chunked(EMPTY + HIDDEN, f"Transfer-Encoding: chunked\r\nConnection: {option}\r\n"), 400)


class TestSplitting:
    def test_9112_11_1_nothing_of_a_request_comes_back_as_a_line(self, plain):
        """A response is never built from bytes of the request that could end a line."""
        for target in (
            "/echo%0d%0aX-Injected:%20yes",
            "/%0d%0a%0d%0aHTTP/1.1%20200%20OK",
            "/echo?a=%0d%0aX-Injected:yes",
        ):
            for response in exchange(plain, get(target)):
                assert not response.all("x-injected")

    @pytest.mark.parametrize("value", ["text/plain", 'text/plain; a="b"', "x" * 200, "a\tb"])
    def test_9112_11_1_a_content_type_that_is_echoed_stays_on_its_line(self, plain, value):
        response = exchange(plain, post(b"x", f"Content-Length: 1\r\nContent-Type: {value}\r\n"))[0]
        assert response.get("content-type") == value

    @pytest.mark.parametrize("hidden", [HIDDEN, b"\r\n" + HIDDEN, b"\r\n\r\n" + HIDDEN, EMPTY + HIDDEN])
    def test_9112_6_3_a_request_inside_a_body_is_body(self, plain, hidden):
        responses = exchange(plain, post(hidden) + CANARY, "POST")
        assert [r.body for r in responses] == [hidden, b"canary-answered"]

    def test_9112_6_3_a_request_inside_a_chunk_is_body(self, plain):
        responses = exchange(plain, chunked(b"%x\r\n%s\r\n" % (len(HIDDEN), HIDDEN) + EMPTY) + CANARY, "POST")
        assert [r.body for r in responses] == [HIDDEN, b"canary-answered"]

    def test_9112_6_3_a_request_after_a_body_is_the_next_one(self, plain):
        responses = exchange(plain, chunked(EMPTY) + HIDDEN + CANARY, "POST")
        assert [r.status for r in responses] == [200, 404, 200]

    @pytest.mark.parametrize("data", [HIDDEN, CANARY, b"x"])
    def test_9112_9_6_nothing_after_close_is_answered(self, plain, data):
        responses = exchange(plain, get(fields="Connection: close\r\n") + data)
        assert [r.body for r in responses] == [b"ok"]

    def test_9110_10_1_1_a_body_that_was_not_invited_is_not_a_request(self, plain):
        """The answer to `Expect: 100-continue` is final; what the client then sends may be the body or not."""
        with HTTPConnection(plain) as connection:
            connection.send(post(b"", f"Content-Length: {len(HIDDEN)}\r\nExpect: 100-continue\r\n", target="/nowhere"))
            assert connection.response("POST").status == 404
            connection.send(HIDDEN)
            rest = connection.responses_to_end()
            assert not rest

    @pytest.mark.parametrize("size", [100, 1460, 4096, 16_384, 65_536, 131_072])
    def test_9112_9_3_what_the_gateway_reads_in_one_go_does_not_matter(self, plain, size):
        """The border between two receives falls everywhere in a body that looks like requests."""
        body = (HIDDEN * (size // len(HIDDEN) + 1))[:size]
        responses = exchange(plain, (post(body) + chunked(b"%x\r\n%s\r\n" % (size, body) + EMPTY)) * 3 + CANARY, "POST")
        assert [r.body for r in responses] == [body] * 6 + [b"canary-answered"]
