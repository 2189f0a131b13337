"""Field lines: RFC 9112 §5, RFC 9110 §5."""

import pytest
from wire.http import accepted, get, post, refused

TCHAR = set(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
HOST = b"Host: gateway.test\r\n"


def field(text):
    """A GET with one more field line, which may be wrong."""
    text = text if isinstance(text, bytes) else text.encode("latin-1")
    return b"GET /echo HTTP/1.1\r\n" + HOST + text + b"\r\n\r\n"


class TestFields:
    """RFC 9112 §5, RFC 9110 §5."""

    @pytest.mark.parametrize("blank", [" ", "\t", "  ", "\t ", "\x0b", "\x0c", "\xa0", "\x85"], ids=repr)
    @pytest.mark.parametrize("name", ["X-Any", "Host", "Content-Length", "Transfer-Encoding", "Connection"])
    def test_9112_5_1_white_space_before_the_colon_is_400(self, plain, name, blank):
        data = f"POST /echo HTTP/1.1\r\nHost: gateway.test\r\n{name}{blank}: 5\r\n\r\n".encode("latin-1")
        refused(plain, data, 400)

    @pytest.mark.parametrize("octet", sorted(set(range(256)) - TCHAR - {0x3A}), ids=lambda o: f"{o:02x}")
    @pytest.mark.parametrize("where", ["inside", "first", "last"])
    def test_9110_5_1_a_name_is_a_token(self, plain, octet, where):
        name = {"inside": b"X%sY", "first": b"%sXY", "last": b"XY%s"}[where] % bytes([octet])
        refused(plain, field(b"A: b\r\n" + name + b": value"), 400)

    @pytest.mark.parametrize("octet", sorted(TCHAR - set(b"_")), ids=chr)
    def test_9110_5_6_2_every_token_character_may_stand_in_a_name(self, plain, octet):
        accepted(plain, field(b"X" + bytes([octet]) + b"y: value"))

    @pytest.mark.parametrize(
        "text", ["X", "X-Any", ":", ": value", "  ", "X value", "X;value", "X=value", "=", "GET /echo HTTP/1.1"]
    )
    def test_9112_5_a_field_line_has_a_name_and_a_colon(self, plain, text):
        refused(plain, field("A: b\r\n" + text), 400)

    @pytest.mark.parametrize(
        "fold", ["\r\n value", "\r\n\tvalue", "a\r\n b", "a\r\n \r\n b", "a \r\n\t b", "a,\r\n b"], ids=repr
    )
    @pytest.mark.parametrize("name", ["X-Any", "Host", "Transfer-Encoding", "Content-Length"])
    def test_9112_5_2_a_folded_line_is_400(self, plain, name, fold):
        host = "" if name == "Host" else "Host: gateway.test\r\n"
        refused(plain, f"POST /echo HTTP/1.1\r\n{host}{name}: {fold}\r\n\r\n".encode(), 400)

    @pytest.mark.parametrize("octet", [*range(9), *range(10, 32), 0x7F], ids=lambda o: f"{o:02x}")
    @pytest.mark.parametrize("where", ["inside", "first", "last"])
    def test_9110_5_5_control_characters_in_a_value_are_400(self, plain, octet, where):
        value = {"inside": b"a%sb", "first": b"%sb", "last": b"a%s"}[where] % bytes([octet])
        refused(plain, field(b"X: " + value), 400)

    @pytest.mark.parametrize("octet", [0x09, 0x20, *range(0x21, 0x7F), *range(0x80, 0x100)], ids=lambda o: f"{o:02x}")
    @pytest.mark.full
    def test_9110_5_5_visible_and_opaque_octets_in_a_value_are_accepted(self, plain, octet):
        accepted(plain, field(b"X: a" + bytes([octet]) + b"b"))

    @pytest.mark.parametrize("octet", [0x09, 0x20, 0x21, 0x7E, 0x80, 0xFF], ids=lambda o: f"{o:02x}")
    def test_9110_5_5_a_value_may_hold(self, plain, octet):
        accepted(plain, field(b"X: a" + bytes([octet]) + b"b"))

    @pytest.mark.parametrize(
        "value", ["", " ", "\t", " a", "a ", "\t a \t", "a\tb", " " * 200 + "a" + "\t" * 200], ids=repr
    )
    def test_9112_5_1_white_space_around_a_value_is_not_part_of_it(self, plain, value):
        accepted(plain, field(f"X:{value}"))
        response = accepted(
            plain,
            b"POST /echo HTTP/1.1\r\nHost:" + b" " * len(value) + b"a\t\r\nContent-Length:\t 4 \r\n\r\nbody",
            "POST",
        )
        assert response.body == b"body"

    @pytest.mark.parametrize("name", ["content-length", "CONTENT-LENGTH", "cOnTeNt-LeNgTh"])
    def test_9110_5_1_names_are_case_insensitive(self, plain, name):
        assert accepted(plain, post(b"body", f"{name}: 4\r\n"), "POST").body == b"body"

    def test_9110_5_3_a_name_may_occur_again(self, plain):
        accepted(plain, field("X: a\r\nX: b\r\nAccept: a\r\nAccept: b\r\nCookie: a=b\r\nCookie: c=d"))

    def test_9110_5_1_unrecognized_fields_are_ignored(self, plain):
        accepted(plain, field("\r\n".join(f"X-Unknown-{n}: {n}" for n in range(80))))

    @pytest.mark.parametrize("count", [101, 150, 1000, 4000])
    def test_9110_5_4_too_many_fields_are_431(self, plain, count):
        refused(plain, get(fields="A: b\r\n" * count), 431)

    @pytest.mark.parametrize("size", [17_000, 33_000, 70_000, 300_000])
    def test_9110_5_4_a_value_that_is_too_long_is_431(self, plain, size):
        refused(plain, field(b"X: " + b"a" * size), 431)

    @pytest.mark.parametrize("size", [17_000, 70_000])
    def test_9110_5_4_a_name_that_is_too_long_is_431(self, plain, size):
        refused(plain, field(b"X" * size + b": a"), 431)

    def test_9110_5_4_a_head_that_is_too_large_is_431(self, plain):
        refused(plain, get(fields=f"X: {'a' * 8000}\r\n" * 5), 431)

    def test_9110_5_4_a_value_of_8000_octets_is_fine(self, plain):
        accepted(plain, field(b"X: " + b"a" * 8000))

    @pytest.mark.parametrize(
        "fields",
        [
            "Content_Length: 5",
            "Transfer_Encoding: chunked",
            "Transfer_encoding: chunked",
            "X_Forwarded_For: 1.2.3.4",
            "Content-Length\0: 5",
            "\0Content-Length: 5",
        ],
        ids=repr,
    )
    def test_9112_11_2_names_that_a_far_end_may_take_for_another(self, plain, fields):
        refused(plain, field(fields), 400)
