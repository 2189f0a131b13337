"""The chunked coding and its trailers: RFC 9112 §7, RFC 9110 §6.5."""

import pytest
from wire.http import CANARY, Closed, HTTPConnection, accepted, chunked, refused


class TestChunkedCoding:
    """RFC 9112 §7.1."""

    @pytest.mark.parametrize(
        "coded, body",
        [
            pytest.param(b"0\r\n\r\n", b"", id="empty"),
            pytest.param(b"5\r\nhello\r\n0\r\n\r\n", b"hello", id="one chunk"),
            pytest.param(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world", id="two chunks"),
            pytest.param(b"1\r\nh\r\n" * 500 + b"0\r\n\r\n", b"h" * 500, id="500 chunks of one"),
            pytest.param(b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789", id="lower case"),
            pytest.param(b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", id="upper case"),
            pytest.param(b"0005\r\nhello\r\n0\r\n\r\n", b"hello", id="leading zeros"),
            pytest.param(b"5\r\nhello\r\n000\r\n\r\n", b"hello", id="a last chunk of several zeros"),
            pytest.param(b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", id="data that looks like a line end"),
            pytest.param(b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n", id="data that looks like the end"),
            pytest.param(b"fFf\r\n" + b"x" * 0xFFF + b"\r\n0\r\n\r\n", b"x" * 0xFFF, id="mixed case"),
            pytest.param(b"20000\r\n" + b"y" * 0x20000 + b"\r\n0\r\n\r\n", b"y" * 0x20000, id="a chunk of 128 KiB"),
        ],
    )
    def test_9112_7_1_chunks(self, plain, coded, body):
        assert accepted(plain, chunked(coded), "POST").body == body

    @pytest.mark.parametrize(
        "extension",
        [b";a", b";a=b", b';a="b c"', b';a="b\\"c"', b";a;b=c;d=\"e\"", b";a=\"\"", b';a=";,="', b';!#$=%&'],
    )
    def test_9112_7_1_1_unrecognized_extensions_are_ignored(self, plain, extension):
        assert (
            accepted(plain, chunked(b"5" + extension + b"\r\nhello\r\n0" + extension + b"\r\n\r\n"), "POST").body
            == b"hello"
        )

    @pytest.mark.parametrize(
        "line", [b"5 ;a=b", b"5; a=b", b"5;a =b", b"5;a= b", b"5\t;\ta\t=\tb", b"5 ", b"5\t"], ids=repr
    )
    def test_9112_7_1_1_bad_white_space_is_removed_or_refused(self, plain, line):
        """RFC 9110 §5.6.3 would remove it; readers are known to differ, so that refusing is allowed here."""
        with HTTPConnection(plain) as connection:
            connection.send(chunked(line + b"\r\nhello\r\n0\r\n\r\n") + CANARY)
            first = connection.final("POST")
            assert (first.status, first.body) == (200, b"hello") or first.status == 400
            if first.status == 400:
                connection.expect_end()

    @pytest.mark.parametrize(
        "coded",
        [
            pytest.param(b"\r\nhello\r\n0\r\n\r\n", id="no size"),
            pytest.param(b";a\r\nhello\r\n0\r\n\r\n", id="an extension without a size"),
            pytest.param(b"g\r\nhello\r\n0\r\n\r\n", id="not hexadecimal"),
            pytest.param(b"5g\r\nhello\r\n0\r\n\r\n", id="not hexadecimal to its end"),
            pytest.param(b"0x5\r\nhello\r\n0\r\n\r\n", id="0x"),
            pytest.param(b"-5\r\nhello\r\n0\r\n\r\n", id="negative"),
            pytest.param(b"-0\r\n\r\n", id="negative zero"),
            pytest.param(b"+5\r\nhello\r\n0\r\n\r\n", id="plus"),
            pytest.param(b" 5\r\nhello\r\n0\r\n\r\n", id="a space before"),
            pytest.param(b"\t5\r\nhello\r\n0\r\n\r\n", id="a tab before"),
            pytest.param(b"5 5\r\nhello\r\n0\r\n\r\n", id="two sizes"),
            pytest.param(b"5,5\r\nhello\r\n0\r\n\r\n", id="a list"),
            pytest.param(b"5.0\r\nhello\r\n0\r\n\r\n", id="a fraction"),
            pytest.param(b"5_0\r\nhello\r\n0\r\n\r\n", id="an underscore"),
            pytest.param(b"5\0\r\nhello\r\n0\r\n\r\n", id="NUL after the size"),
            pytest.param(b"\x005\r\nhello\r\n0\r\n\r\n", id="NUL before the size"),
            pytest.param(b"5\x0b\r\nhello\r\n0\r\n\r\n", id="a vertical tab"),
            pytest.param("５\r\nhello\r\n0\r\n\r\n".encode(), id="a wide digit"),
            pytest.param(b"5\nhello\r\n0\r\n\r\n", id="bare LF after the size"),
            pytest.param(b"5\rhello\r\n0\r\n\r\n", id="bare CR after the size"),
            pytest.param(b"5\r\r\nhello\r\n0\r\n\r\n", id="CR CR LF after the size"),
            pytest.param(b"5\n\rhello\r\n0\r\n\r\n", id="LF CR after the size"),
            pytest.param(b"5\r\nhello\n0\r\n\r\n", id="bare LF after the data"),
            pytest.param(b"5\r\nhello\r0\r\n\r\n", id="bare CR after the data"),
            pytest.param(b"5\r\nhello0\r\n\r\n", id="nothing after the data"),
            pytest.param(b"5\r\nhelloxx0\r\n\r\n", id="something else after the data"),
            pytest.param(b"4\r\nhello\r\n0\r\n\r\n", id="a size that is too small"),
            pytest.param(b"6\r\nhello\r\n0\r\n\r\n", id="a size that is too large by one"),
            pytest.param(b"7\r\nhello\r\n0\r\n\r\n", id="a size that covers the line end"),
            pytest.param(b"5\r\nhello\r\n\r\n0\r\n\r\n", id="an empty line between chunks"),
            pytest.param(b"5\r\nhello\r\n0\n\r\n", id="bare LF after the last size"),
            pytest.param(b"5\r\nhello\r\n0\r\n\n", id="bare LF at the end"),
            pytest.param(b"5\r\nhello\r\n0\r\n\r" + b"x", id="bare CR at the end"),
            pytest.param(b"5\r\nhello\r\n0;a\n\r\n", id="bare LF after the last extension"),
            pytest.param(b"FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n", id="a size of 2^64-1"),
            pytest.param(b"8000000000000000\r\nhello\r\n0\r\n\r\n", id="a size of 2^63"),
            pytest.param(b"10000000000000000\r\nhello\r\n0\r\n\r\n", id="a size of 2^64"),
            pytest.param(b"10000000000000005\r\nhello\r\n0\r\n\r\n", id="a size of 5 modulo 2^64"),
            pytest.param(b"F" * 40 + b"5\r\nhello\r\n0\r\n\r\n", id="40 digits"),
            pytest.param(b"0" * 5000 + b"5\r\nhello\r\n0\r\n\r\n", id="zeros without end"),
            pytest.param(b"5;\r\nhello\r\n0\r\n\r\n", id="an extension without a name"),
            pytest.param(b"5;=b\r\nhello\r\n0\r\n\r\n", id="a value without a name"),
            pytest.param(b"5;a=\r\nhello\r\n0\r\n\r\n", id="an extension without its value"),
            pytest.param(b'5;a="b\r\nhello\r\n0\r\n\r\n', id="an open quote"),
            pytest.param(b'5;a="b"c\r\nhello\r\n0\r\n\r\n', id="text after a quote"),
            pytest.param(b"5;a\0\r\nhello\r\n0\r\n\r\n", id="NUL in an extension"),
            pytest.param(b"5;a\nb\r\nhello\r\n0\r\n\r\n", id="LF in an extension"),
            pytest.param(b"5;a\rb\r\nhello\r\n0\r\n\r\n", id="CR in an extension"),
            pytest.param(b'5;a="\n"\r\nhello\r\n0\r\n\r\n', id="LF in a quoted value"),
            pytest.param(b"5;;a\r\nhello\r\n0\r\n\r\n", id="an empty extension"),
            pytest.param(b"5:a\r\nhello\r\n0\r\n\r\n", id="a colon"),
            pytest.param(b"5 a\r\nhello\r\n0\r\n\r\n", id="text after the size"),
            pytest.param(b"5;a\x7f\r\nhello\r\n0\r\n\r\n", id="DEL in an extension"),
            pytest.param(b"5;" + b"a" * 20_000 + b"\r\nhello\r\n0\r\n\r\n", id="an extension of 20 kB"),
            pytest.param(b"1;a=bbbbbbbb\r\nx\r\n" * 5000 + b"0\r\n\r\n", id="50 kB in many extensions"),
        ],
    )
    def test_9112_7_1_what_is_no_chunk_is_400(self, plain, coded):
        refused(plain, chunked(coded), 400)

    @pytest.mark.parametrize(
        "coded",
        [
            b"",
            b"5",
            b"5\r\n",
            b"5\r\nhel",
            b"5\r\nhello",
            b"5\r\nhello\r\n",
            b"5\r\nhello\r\n0",
            b"5\r\nhello\r\n0\r\n",
            b"5\r\nhello\r\n0\r\nX: y\r\n",
        ],
    )
    def test_9112_8_an_unfinished_chunked_body_is_no_request(self, plain, coded):
        with HTTPConnection(plain) as connection:
            connection.send(chunked(coded)).half_close()
            try:
                responses = connection.responses_to_end("POST")
            except Closed:
                return
            assert not responses or responses[0].status >= 400

    @pytest.mark.parametrize(
        "coded", [b"g\r\n", b"5\r\nhello", b"5\r\nhelloxx", b"5\nhello\r\n0\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\n"]
    )
    @pytest.mark.parametrize("request_line", ["GET /echo", "GET /nowhere", "DELETE /echo"])
    def test_9112_7_1_a_body_that_nobody_wants_must_be_one_all_the_same(self, plain, coded, request_line):
        head = f"{request_line} HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        with HTTPConnection(plain) as connection:
            connection.send(head + coded + b"GET /hidden HTTP/1.1\r\nHost: gateway.test\r\n\r\n" + CANARY)
            first = connection.final()
            if coded in (b"5\r\nhello",):
                return
            connection.half_close()
            rest = connection.responses_to_end()
            assert not rest, f"after {first}: {rest}"

    @pytest.mark.parametrize("coded", [b"g\r\n", b"5\r\nhelloxx", b"5\nhello\r\n0\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\n"])
    def test_9112_7_1_a_malformed_body_on_a_get_is_400(self, plain, coded):
        refused(plain, b"GET /echo HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n" + coded, 400)

    def test_9112_7_1_an_error_after_good_chunks_breaks_the_answer_visibly(self, plain):
        with HTTPConnection(plain) as connection:
            connection.send(chunked(b"5\r\nhello\r\n"))
            connection.read_until(b"hello")
            connection.send(b"what\r\n" + CANARY)
            rest = connection.read_to_end()
            assert b"0\r\n\r\n" not in rest and b"canary" not in rest, f"it looks whole: {rest!r}"


class TestTrailers:
    """RFC 9112 §7.1.2, RFC 9110 §6.5."""

    @pytest.mark.parametrize(
        "trailers",
        [
            b"X: y\r\n",
            b"X: y\r\nZ:\r\n",
            b"ETag: \"a\"\r\n",
            b"Server-Timing: a;dur=1\r\n",
            b"X-Checksum: \t abc \r\n",
            b"A: b\r\n" * 20,
        ],
    )
    def test_9112_7_1_2_trailers_are_accepted(self, plain, trailers):
        assert accepted(plain, chunked(b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n"), "POST").body == b"hello"

    @pytest.mark.parametrize(
        "trailer",
        [
            b"X : y",
            b" X: y",
            b"X: a\r\n b",
            b"X\r\nY: z",
            b": y",
            b"X: a\0b",
            b"X: a\rb",
            b"X: a\nb",
            b"X\0: a",
            b"X: y\n",
            b"GET /hidden HTTP/1.1",
            b"X(: a",
        ],
        ids=repr,
    )
    def test_9112_7_1_2_a_malformed_trailer_is_400(self, plain, trailer):
        refused(plain, chunked(b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n"), 400)

    @pytest.mark.parametrize(
        "name",
        [
            "Content-Length",
            "Transfer-Encoding",
            "Host",
            "Connection",
            "Authorization",
            "Cookie",
            "Content-Type",
            "Content-Encoding",
            "Expect",
            "Range",
            "Upgrade",
            "TE",
            "Trailer",
            "Content-Range",
            "Max-Forwards",
            "Cache-Control",
        ],
    )
    def test_9110_6_5_1_fields_that_may_not_be_trailers_have_no_effect(self, plain, name):
        with HTTPConnection(plain) as connection:
            connection.send(chunked(f"5\r\nhello\r\n0\r\n{name}: close\r\n\r\n".encode()) + CANARY)
            first = connection.final("POST")
            if first.status == 200:
                assert first.body == b"hello" and first.trailers == []
                assert connection.final("POST").body == b"canary-answered"
            else:
                assert first.status == 400
                connection.expect_end()

    def test_9110_5_4_trailers_that_are_too_large_are_431(self, plain):
        refused(plain, chunked(b"5\r\nhello\r\n0\r\n" + b"X: " + b"a" * 20_000 + b"\r\n\r\n"), 431, 400)

    def test_9110_5_4_trailers_that_are_too_many_are_431(self, plain):
        refused(plain, chunked(b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 1000 + b"\r\n"), 431, 400)
