"""Text is UTF-8: RFC 6455 §5.6, §8.1, RFC 3629 §3, §4; section 6 of the public suite."""

import pytest
from wire.websocket import CONTINUATION, PING, TEXT, close_payload, fragments, frame, opened

#: Every border of the table of RFC 3629 §4, and texts of people.
VALID = [
    b"",
    b"\x00",
    b"\x7f",
    b"Hello",
    b"\xc2\x80",
    b"\xdf\xbf",
    b"\xe0\xa0\x80",
    b"\xe0\xbf\xbf",
    b"\xe1\x80\x80",
    b"\xec\xbf\xbf",
    b"\xed\x80\x80",
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xef\xbf\xbe",
    b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80",
    b"\xf0\xbf\xbf\xbf",
    b"\xf1\x80\x80\x80",
    b"\xf3\xbf\xbf\xbf",
    b"\xf4\x80\x80\x80",
    b"\xf4\x8f\xbf\xbf",
    b"\xf4\x8f\xbf\xbe",
    b"\xef\xb7\x90",
    b"\xef\xbb\xbf",
    b"\xf0\x9f\xbf\xbe",
    b"\xf0\x9f\xbf\xbf",
    b"\xe2\x80\xa8",
    "κόσμε".encode(),
    "Hello-µ@ßöäüàá-UTF-8!!".encode(),
    "かな漢字".encode(),
    "𝄞 🏳️‍🌈 👩‍👩‍👧".encode(),
    "שלום".encode(),
    "e\u0301".encode() * 50,
]

#: The classes of the classic stress test, and each border from its wrong side.
INVALID = {
    # lone continuation bytes
    "80": "a continuation byte",
    "bf": "the last continuation byte",
    "80bf": "two",
    "80bf80": "three",
    "80bf80bf80bf80": "seven",
    # lone starts
    "c320": "a start of two, alone",
    "e120": "a start of three, alone",
    "f120": "a start of four, alone",
    "c3c3": "a start after a start",
    "fe": "impossible fe",
    "ff": "impossible ff",
    "fefeffff": "impossible, four",
    "f5": "impossible f5",
    "f8": "impossible f8",
    "fc": "impossible fc",
    # sequences without their end
    "c3": "two, one missing",
    "e1": "three, two missing",
    "e180": "three, one missing",
    "f1": "four, three missing",
    "f180": "four, two missing",
    "f18080": "four, one missing",
    "dfefbf": "an unfinished run",
    "cebae1bdb9cf83cebcceb5ed": "a word, then an unfinished one",
    "e18041": "three broken by a letter",
    "f1808041": "four broken by a letter",
    "c341": "two broken by a letter",
    "f18041": "four broken early",
    # overlong
    "c080": "overlong NUL of two",
    "c0af": "overlong slash of two",
    "c1bf": "overlong of two, the last",
    "e08080": "overlong NUL of three",
    "e080af": "overlong slash of three",
    "e09fbf": "overlong of three, the last",
    "f0808080": "overlong NUL of four",
    "f08080af": "overlong slash of four",
    "f08fbfbf": "overlong of four, the last",
    "f880808080": "five",
    "fc8080808080": "six",
    "f888808080": "five, not overlong",
    "fc8480808080": "six, not overlong",
    # surrogates
    "eda080": "the first high surrogate",
    "edadbf": "a high surrogate",
    "edae80": "a high surrogate of private use",
    "edafbf": "the last high surrogate",
    "edb080": "the first low surrogate",
    "edbe80": "a low surrogate",
    "edbfbf": "the last low surrogate",
    "eda080edb080": "a pair",
    "edafbfedbfbf": "the last pair",
    # beyond U+10FFFF
    "f4908080": "U+110000",
    "f490": "U+110000, its start",
    "f5808080": "U+140000",
    "f7bfbfbf": "U+1FFFFF",
    "fbbfbfbfbf": "U+3FFFFFF",
    "fdbfbfbfbfbf": "U+7FFFFFFF",
    # in the middle of text
    "48656c6c6fc0af": "after text",
    "c0af48656c6c6f": "before text",
    "cebae1bdb9cf83cebcceb5eda080656469746564": "a surrogate in a text",
    "cebae1bdb9cf83cebcceb5f4908080656469746564": "U+110000 in a text",
}


def fails_at(data):
    """How many bytes a reader must have seen to know that `data` is not UTF-8; `None` when only the end tells."""
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")()
    for count in range(1, len(data) + 1):
        try:
            decoder.decode(data[count - 1 : count])
        except UnicodeDecodeError:
            return count
    return None


@pytest.mark.parametrize("text", VALID, ids=lambda t: t.hex()[:24] or "empty")
class TestValid:
    def test_6455_8_1_in_one_frame(self, plain, text):
        with opened(plain) as socket:
            socket.echo(TEXT, text)

    def test_6455_8_1_a_fragment_may_end_inside_a_character(self, plain, text):
        with opened(plain) as socket:
            for size in (1, 2, 3):
                socket.echo(TEXT, text, fragment=size)

    def test_6455_8_1_so_may_a_segment(self, plain, text):
        with opened(plain) as socket:
            socket.send_in_pieces(frame(TEXT, text))
            assert socket.message() == (TEXT, text)

    def test_6455_8_1_with_a_ping_inside_a_character(self, plain, text):
        with opened(plain) as socket:
            for piece in fragments(TEXT, text, 1):
                socket.send(piece).send_frame(PING)
            assert [text] == [m for _, m in [socket.message()]]

    def test_6455_8_1_after_and_before_much_else(self, plain, text):
        with opened(plain) as socket:
            for pad in (7, 8, 15, 31, 1000, 65_535):
                socket.echo(TEXT, b"a" * pad + text + b"z" * pad)

    def test_6455_5_5_1_as_a_reason(self, plain, text):
        with opened(plain) as socket:
            socket.send_frame(
                8, close_payload(1000, text[:120] if text.isascii() else text if len(text) < 120 else "é".encode())
            )
            socket.expect_close(1000)


@pytest.mark.parametrize("text", [bytes.fromhex(code) for code in INVALID], ids=INVALID.values())
class TestInvalid:
    def test_6455_8_1_in_one_frame(self, plain, text):
        with opened(plain) as socket:
            socket.send_frame(TEXT, text)
            socket.expect_close(1007)

    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_6455_8_1_in_fragments(self, plain, text, size):
        with opened(plain) as socket:
            socket.send(b"".join(fragments(TEXT, text, size)))
            socket.expect_close(1007)

    def test_6455_8_1_in_segments(self, plain, text):
        with opened(plain) as socket:
            socket.send_in_pieces(frame(TEXT, text))
            socket.expect_close(1007)

    @pytest.mark.parametrize("pad", [1, 7, 8, 9, 15, 16, 33, 4095, 70_000])
    def test_6455_8_1_after_text(self, plain, text, pad):
        with opened(plain) as socket:
            socket.send_frame(TEXT, b"a" * pad + text)
            socket.expect_close(1007)

    def test_6455_8_1_before_text(self, plain, text):
        with opened(plain) as socket:
            socket.send_frame(TEXT, text + b"z" * 100)
            socket.expect_close(1007)

    def test_6455_8_1_compressed(self, plain, text):
        with opened(plain, extensions="permessage-deflate") as socket:
            socket.send_message(TEXT, b"text " * 10 + text, compressed=True)
            socket.expect_close(1007)

    def test_6455_5_5_1_as_a_reason(self, plain, text):
        with opened(plain) as socket:
            socket.send_frame(8, close_payload(1000, text))
            socket.expect_close(1007, 1002)


@pytest.mark.parametrize(
    "text",
    [t for t in map(bytes.fromhex, INVALID) if fails_at(t)],
    ids=[n for c, n in INVALID.items() if fails_at(bytes.fromhex(c))],
)
class TestFailFast:
    """What no continuation could mend is refused at the byte that shows it. The rest is never sent."""

    def test_6455_8_1_fails_fast_in_a_fragment(self, plain, text):
        """Case 6.3: the first fragment already cannot be mended, and the rest is never sent."""
        with opened(plain) as socket:
            socket.send_frame(TEXT, text[: fails_at(text)], fin=False)
            socket.expect_close(1007)

    def test_6455_8_1_fails_fast_in_a_later_fragment(self, plain, text):
        with opened(plain) as socket:
            socket.send_frame(TEXT, b"good", fin=False).send_frame(CONTINUATION, text[: fails_at(text)], fin=False)
            socket.expect_close(1007)

    def test_6455_8_1_fails_fast_inside_a_frame(self, plain, text):
        """Case 6.4: the frame is announced as longer than what comes."""
        whole = frame(TEXT, b"good " + text[: fails_at(text)] + b"z" * 1000)
        with opened(plain) as socket:
            socket.send(whole[:-1000])
            socket.expect_close(1007)


@pytest.mark.full
@pytest.mark.parametrize("second", range(0x70, 0xD0, 0x0F), ids=lambda o: f"{o:02x}")
def test_6455_8_1_every_start_with_a_second_byte(plain, second):
    """The validator against Python's, for every first byte and a spread of second and third bytes."""
    for first in range(0x80, 0x100):
        for rest in (b"", b"\x80", b"\xbf\x80", b"\x80\x80\x80", b"A"):
            text = bytes([first, second]) + rest
            try:
                text.decode()
                valid = True
            except UnicodeDecodeError:
                valid = False
            with opened(plain) as socket:
                if valid:
                    socket.echo(TEXT, text)
                else:
                    socket.send_frame(TEXT, text)
                    socket.expect_close(1007)


@pytest.mark.parametrize("plane", range(17))
def test_6455_8_1_every_character_of_a_plane(large, plane):
    text = "".join(chr(c) for c in range(plane << 16, (plane + 1) << 16) if not 0xD800 <= c < 0xE000).encode()
    with opened(large) as socket:
        socket.echo(TEXT, text)
        socket.echo(TEXT, text, fragment=4093)
