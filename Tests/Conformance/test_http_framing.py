"""Content-Length, Transfer-Encoding, and what the gateway itself frames: RFC 9112 §6, §8; RFC 9110 §6.4, §8.6."""

import pytest
from wire.http import CANARY, Closed, HTTPConnection, accepted, chunked, exchange, get, post, refused


class TestContentLength:
    """RFC 9112 §6.2, §6.3, RFC 9110 §8.6."""

    @pytest.mark.parametrize("size", [0, 1, 2, 100, 4095, 4096, 4097, 65_535, 65_536, 65_537, 1 << 20])
    def test_9112_6_2_a_body_is_as_long_as_it_says(self, plain, size):
        body = bytes(n % 251 for n in range(size))
        assert accepted(plain, post(body), "POST").body == body

    def test_9112_6_3_no_framing_means_no_body(self, plain):
        responses = exchange(plain, post(b"", "") + CANARY)
        assert [r.body for r in responses] == [b"", b"canary-answered"]

    @pytest.mark.parametrize(
        "value",
        [
            "+5",
            "-5",
            "-0",
            "5 5",
            "5,5",
            "5, 5",
            "5, 6",
            "5,",
            ",5",
            "",
            " ",
            "0x5",
            "5x",
            "x",
            "5.0",
            "5e0",
            "5;",
            '"5"',
            "5\t5",
            "\xb5",
            "٥".encode().decode("latin-1"),
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "18446744073709551621",
            "99999999999999999999999999",
            "1" * 400,
            "5_0",
            "5'0",
            "0b101",
            "0o5",
            "NaN",
            "Infinity",
            "5\x0b",
            "\x0c5",
            "5 chunked",
            "(5)",
        ],
        ids=repr,
    )
    def test_9112_6_3_an_invalid_length_is_400(self, plain, value):
        refused(plain, post(b"01234", f"Content-Length: {value}\r\n"), 400, 413)

    @pytest.mark.parametrize(
        "first, second", [("5", "5"), ("5", "6"), ("6", "5"), ("5", "0"), ("0", "5"), ("5", ""), ("5", "x"), ("0", "0")]
    )
    def test_9112_6_3_two_lengths_are_400(self, plain, first, second):
        refused(plain, post(b"01234", f"Content-Length: {first}\r\nContent-Length: {second}\r\n"), 400)

    @pytest.mark.parametrize("value", ["05", "00005", "0" * 20 + "5"])
    def test_9110_8_6_leading_zeros_are_decimal_or_refused(self, plain, value):
        """The grammar allows them and some readers take them for octal: read as decimal, or not at all."""
        with HTTPConnection(plain) as connection:
            connection.send(post(b"01234", f"Content-Length: {value}\r\n") + CANARY)
            first = connection.final("POST")
            assert (first.status, first.body) == (200, b"01234") or first.status == 400
            if first.status == 400:
                connection.expect_end()

    def test_9112_6_2_a_body_on_a_get_is_read_past(self, plain):
        """RFC 9110 §9.3.1: it has no meaning, and it is not the next request."""
        data = (
            b"GET /echo HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 44\r\n\r\n"
            + b"GET /hidden HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
        )
        responses = exchange(plain, data + CANARY)
        assert [r.status for r in responses] == [200, 200] and responses[1].body == b"canary-answered"

    @pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "DELETE", "PUT", "PATCH", "TRACE"])
    def test_9112_6_a_body_that_nobody_wants_is_not_the_next_request(self, plain, method):
        body = b"GET /hidden HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
        head = f"{method} /echo HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with HTTPConnection(plain) as connection:
            connection.send(head + body + CANARY)
            first = connection.final(method)
            assert first.status in (200, 204, 400, 405, 501)
            if first.keeps_connection:
                assert connection.final("POST").body == b"canary-answered"
            else:
                connection.expect_end()

    def test_9112_6_a_body_for_nothing_is_not_the_next_request(self, plain):
        body = b"GET /hidden HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
        responses = exchange(plain, post(body, target="/nowhere") + CANARY)
        assert responses[0].status == 404
        assert [r.body for r in responses[1:]] == [b"canary-answered"]

    def test_9112_6_a_large_body_for_nothing_is_read_past_or_ends_the_connection(self, plain):
        with HTTPConnection(plain) as connection:
            connection.send(post(bytes(1_000_000), target="/nowhere") + CANARY)
            assert connection.final("POST").status == 404
            try:
                assert connection.final("POST").body == b"canary-answered"
            except Closed:
                pass

    @pytest.mark.parametrize("sent", [0, 1, 99])
    def test_9112_8_an_incomplete_body_is_no_request(self, plain, sent):
        with HTTPConnection(plain) as connection:
            connection.send(post(b"x" * sent, "Content-Length: 100\r\n")).half_close()
            try:
                responses = connection.responses_to_end("POST")
            except Closed:
                return  # cut short, and plainly so
            assert not responses or responses[0].status >= 400

    def test_9110_15_5_14_a_declared_length_over_the_limit_is_413(self, small):
        with HTTPConnection(small) as connection:
            connection.send(post(b"", "Content-Length: 65537\r\n"))
            assert connection.final("POST").status == 413
            connection.expect_end()

    def test_9110_15_5_14_a_chunked_body_over_the_limit_is_cut_off(self, small):
        with HTTPConnection(small) as connection:
            connection.send(chunked(b"8000\r\n" + bytes(0x8000) + b"\r\n"))
            connection.send((b"8000\r\n" + bytes(0x8000) + b"\r\n") * 4 + b"0\r\n\r\n")
            try:
                responses = connection.responses_to_end("POST")
            except Closed:
                return
            assert [r.status for r in responses] == [413]

    def test_9110_15_5_14_a_body_at_the_limit_is_fine(self, small):
        assert len(accepted(small, post(bytes(65_536)), "POST").body) == 65_536


class TestTransferEncoding:
    """RFC 9112 §6.1, §6.3."""

    @pytest.mark.parametrize(
        "value", ["chunked", "Chunked", "CHUNKED", "cHuNkEd", "  chunked", "chunked  ", "\tchunked\t"], ids=repr
    )
    def test_9112_6_1_chunked_in_any_case(self, plain, value):
        assert (
            accepted(plain, chunked(b"5\r\nhello\r\n0\r\n\r\n", f"Transfer-Encoding:{value}\r\n"), "POST").body
            == b"hello"
        )

    @pytest.mark.parametrize(
        "value",
        [
            "gzip",
            "identity",
            "gzip, chunked",
            "deflate, chunked",
            "x, chunked",
            "identity, chunked",
            "br,chunked",
            "compress, gzip, chunked",
            "chunked, gzip",
            "chunked, identity",
            "chunked, chunked",
            "chunked,chunked",
            "chunked chunked",
            "xchunked",
            "chunkedx",
            "chunked;q=1",
            "chunked; a=b",
            "chunked;",
            '"chunked"',
            "'chunked'",
            "",
            " ",
            ",",
            "chunked\x0b",
            "\x0bchunked",
            "chunked\x0c",
            "chunked\x00",
            "\x00chunked",
            "chunked\xa0",
            "\x85chunked",
            "chun ked",
            "chunk",
            "chunke",
            "cow",
            "cow, chunked",
            "chunked/1",
            "chunked=1",
            "[chunked]",
            "(chunked)",
            "\\chunked",
            "chunked\t\x01",
            "chunked\x1f",
            "chunked\xff",
            "ｃhunked".encode().decode("latin-1"),
            "chun\u212aed".encode().decode("latin-1"),
            "0",
            "5",
            "trailers",
            "*",
        ],
        ids=repr,
    )
    def test_9112_6_1_anything_else_is_refused_and_the_connection_closed(self, plain, value):
        refused(plain, chunked(b"5\r\nhello\r\n0\r\n\r\n", f"Transfer-Encoding: {value}\r\n"), 400, 501)

    @pytest.mark.parametrize("value", ["gzip, chunked", "x-unknown, chunked"])
    def test_9112_6_1_an_unknown_coding_before_chunked_is_501(self, plain, value):
        refused(plain, chunked(b"0\r\n\r\n", f"Transfer-Encoding: {value}\r\n"), 501)

    @pytest.mark.parametrize("value", ["gzip", "chunked, gzip", "identity"])
    def test_9112_6_3_chunked_must_be_last(self, plain, value):
        refused(plain, chunked(b"0\r\n\r\n", f"Transfer-Encoding: {value}\r\n"), 400)

    @pytest.mark.parametrize(
        "first, second",
        [
            ("chunked", "chunked"),
            ("chunked", "identity"),
            ("identity", "chunked"),
            ("gzip", "chunked"),
            ("chunked", "gzip"),
            ("chunked", ""),
            ("", "chunked"),
            ("chunked", "x"),
        ],
    )
    def test_9112_6_1_two_lines_are_refused(self, plain, first, second):
        fields = f"Transfer-Encoding: {first}\r\nTransfer-Encoding: {second}\r\n"
        refused(plain, chunked(b"5\r\nhello\r\n0\r\n\r\n", fields), 400, 501)

    @pytest.mark.parametrize("length", ["0", "5", "15", "1000"])
    @pytest.mark.parametrize("order", ["length first", "coding first"])
    def test_9112_6_3_with_content_length_it_is_refused(self, plain, length, order):
        fields = [f"Content-Length: {length}\r\n", "Transfer-Encoding: chunked\r\n"]
        refused(
            plain,
            chunked(b"5\r\nhello\r\n0\r\n\r\n", "".join(fields if order == "length first" else fields[::-1])),
            400,
        )

    @pytest.mark.parametrize(
        "fields",
        [
            "Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n",
            "Content-Length: 15\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: identity\r\nContent-Length: 15\r\n",
        ],
    )
    def test_9112_6_1_http_1_0_has_none(self, plain, fields):
        refused(plain, chunked(b"5\r\nhello\r\n0\r\n\r\n", fields, version="1.0"), 400)

    def test_9112_6_1_it_is_not_sent_to_http_1_0(self, plain):
        responses = exchange(plain, post(b"hello", version="1.0"), "POST", "1.0")
        assert responses[0].body == b"hello"


class TestResponses:
    """What the gateway itself frames: RFC 9112 §6."""

    def test_9112_6_1_a_body_of_unknown_length_is_chunked_to_http_1_1(self, plain):
        response = accepted(plain, chunked(b"5\r\nhello\r\n0\r\n\r\n"), "POST")
        assert (response.framing, response.body) == ("chunked", b"hello")

    def test_9112_6_2_a_body_of_known_length_says_so(self, plain):
        assert accepted(plain, post(b"hello"), "POST").framing == "length"

    @pytest.mark.parametrize("target", ["/echo", "/nowhere", "/ws", "/livez", "/readyz", "/health"])
    def test_9112_6_every_answer_is_framed(self, plain, target):
        assert accepted_any(plain, get(target)).framing in ("length", "chunked")

    def test_9112_6_an_empty_post_is_answered_with_an_empty_body(self, plain):
        response = accepted(plain, post(b""), "POST")
        assert (response.framing, response.body) == ("length", b"")


def accepted_any(gateway, data):
    with HTTPConnection(gateway) as connection:
        connection.send(data)
        return connection.final()
