"""Base framing: RFC 6455 §5.1 to §5.3; sections 1 (framing), 3 (reserved bits), 4 (opcodes) of the public suite."""

import os

import pytest
from wire.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame, opened

SIZES = [
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    9,
    15,
    16,
    17,
    31,
    32,
    33,
    63,
    64,
    65,
    124,
    125,
    126,
    127,
    128,
    129,
    255,
    256,
    257,
    1023,
    1024,
    1025,
    4095,
    4096,
    4097,
    16_384,
    32_767,
    32_768,
    65_534,
    65_535,
    65_536,
    65_537,
    131_072,
    1 << 20,
]
KINDS = [pytest.param(TEXT, id="text"), pytest.param(BINARY, id="binary")]


def payload(kind, size):
    return b"*" * size if kind == TEXT else (bytes(range(256)) * (size // 256 + 1))[:size]


class TestSizes:
    """Section 1 of the public suite."""

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("kind", KINDS)
    def test_6455_5_2_a_message_of_every_size_comes_back(self, plain, kind, size):
        with opened(plain) as socket:
            socket.echo(kind, payload(kind, size))
            socket.close_properly()

    @pytest.mark.parametrize("chop", [1, 13, 997])
    @pytest.mark.parametrize("size", [0, 125, 126, 127, 128, 1000, 65_535, 65_536])
    @pytest.mark.parametrize("kind", KINDS)
    def test_6455_5_2_however_tcp_delivers_it(self, plain, kind, size, chop):
        if chop == 1 and size > 1000:
            chop = 101
        with opened(plain) as socket:
            socket.send_in_pieces(frame(kind, payload(kind, size)), chop)
            assert socket.message() == (kind, payload(kind, size))
            socket.close_properly()

    @pytest.mark.parametrize("size", [0, 1, 125, 126, 300])
    def test_6455_5_2_cut_once_at_every_byte(self, plain, size):
        data = frame(TEXT, payload(TEXT, size))
        with opened(plain) as socket:
            for cut in range(1, len(data)):
                socket.send(data[:cut]).send(data[cut:])
                assert socket.message() == (TEXT, payload(TEXT, size)), f"cut after {cut} bytes"

    def test_6455_5_2_many_frames_in_one_segment(self, plain):
        with opened(plain) as socket:
            socket.send(b"".join(frame(TEXT, b"%d" % n) for n in range(2000)))
            assert [socket.message()[1] for _ in range(2000)] == [b"%d" % n for n in range(2000)]

    @pytest.mark.full
    @pytest.mark.parametrize("kind", KINDS)
    def test_6455_5_2_every_size_up_to_1100(self, plain, kind):
        with opened(plain) as socket:
            for size in range(1100):
                socket.echo(kind, payload(kind, size))


class TestMasking:
    """RFC 6455 §5.1, §5.3. That the server never masks is checked on every frame it sends."""

    @pytest.mark.parametrize(
        "opcode, body",
        [
            (TEXT, b"hello"),
            (TEXT, b""),
            (BINARY, b"x" * 126),
            (BINARY, b"x" * 65_536),
            (PING, b"x"),
            (PONG, b""),
            (CLOSE, close_payload(1000)),
            (CLOSE, b""),
        ],
    )
    def test_6455_5_1_an_unmasked_frame_is_1002(self, plain, opcode, body):
        with opened(plain) as socket:
            socket.send_frame(opcode, body, key=None)
            socket.expect_close(1002)

    def test_6455_5_1_an_unmasked_fragment_is_1002(self, plain):
        with opened(plain) as socket:
            socket.send_frame(TEXT, b"a", fin=False).send_frame(CONTINUATION, b"b", key=None)
            socket.expect_close(1002)

    @pytest.mark.parametrize(
        "key", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x02\x03\x04", b"\x80\0\0\0", b"\0\0\0\x80"]
    )
    def test_6455_5_3_every_key_unmasks(self, plain, key):
        with opened(plain) as socket:
            for size in (*range(40), 1000, 65_537):
                body = os.urandom(size)
                socket.send_frame(BINARY, body, key=key)
                assert socket.message() == (BINARY, body)

    @pytest.mark.parametrize("chop", [1, 2, 3, 5, 7])
    def test_6455_5_3_the_key_goes_on_where_a_segment_ends(self, plain, chop):
        body = os.urandom(301)
        with opened(plain) as socket:
            socket.send_in_pieces(frame(BINARY, body, key=b"\x12\x34\x56\x78"), chop)
            assert socket.message() == (BINARY, body)

    def test_6455_5_3_a_key_of_its_own_for_every_frame(self, plain):
        with opened(plain) as socket:
            for number in range(200):
                socket.send_frame(TEXT, b"%d" % number, key=os.urandom(4))
                assert socket.message() == (TEXT, b"%d" % number)


class TestLengths:
    """RFC 6455 §5.2: the minimal number of bytes MUST be used; the most significant bit MUST be 0."""

    @pytest.mark.parametrize("size, spelled", [(0, 2), (1, 2), (125, 2), (0, 8), (125, 8), (126, 8), (65_535, 8)])
    @pytest.mark.parametrize("kind", KINDS)
    def test_6455_5_2_a_length_that_is_not_minimal_is_1002(self, plain, kind, size, spelled):
        with opened(plain) as socket:
            socket.send_frame(kind, payload(kind, size), length_bytes=spelled)
            socket.expect_close(1002)

    @pytest.mark.parametrize("length", [1 << 63, (1 << 63) + 5, (1 << 64) - 1])
    def test_6455_5_2_the_top_bit_is_1002(self, plain, length):
        with opened(plain) as socket:
            socket.send_frame(BINARY, b"hello", length=length)
            socket.expect_close(1002)

    @pytest.mark.parametrize("length", [(1 << 20) + 1, 1 << 31, 1 << 32, (1 << 32) + 5, 1 << 62, (1 << 63) - 1])
    def test_6455_7_4_1_a_frame_over_the_limit_is_1009_before_it_is_read(self, plain, length):
        with opened(plain) as socket:
            socket.send_frame(BINARY, b"hello", length=length)
            socket.expect_close(1009)

    @pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
    @pytest.mark.parametrize("size", [126, 127, 1000, 65_536])
    def test_6455_5_5_a_control_frame_over_125_bytes_is_1002(self, plain, opcode, size):
        with opened(plain) as socket:
            socket.send_frame(opcode, b"\x03\xe8" + b"x" * (size - 2))
            socket.expect_close(1002)

    @pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
    @pytest.mark.parametrize("spelled", [2, 8])
    def test_6455_5_5_nor_may_its_length_be_spelled_long(self, plain, opcode, spelled):
        with opened(plain) as socket:
            socket.send_frame(opcode, b"\x03\xe8", length_bytes=spelled)
            socket.expect_close(1002)


class TestReservedBits:
    """Section 3 of the public suite: no extension, no reserved bit."""

    @pytest.mark.parametrize("rsv", range(1, 8))
    @pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
    def test_6455_5_2_a_reserved_bit_is_1002(self, plain, opcode, rsv):
        with opened(plain) as socket:
            socket.send_frame(opcode, b"", rsv=rsv)
            socket.expect_close(1002)

    @pytest.mark.parametrize("rsv", range(1, 8))
    def test_6455_5_2_on_a_continuation(self, plain, rsv):
        with opened(plain) as socket:
            socket.send_frame(TEXT, b"a", fin=False).send_frame(CONTINUATION, b"b", rsv=rsv)
            socket.expect_close(1002)

    @pytest.mark.parametrize("rsv", range(1, 8))
    @pytest.mark.parametrize("chop", [None, 1])
    def test_6455_5_2_what_came_before_is_answered_first(self, plain, rsv, chop):
        """Cases 3.2 to 3.4: a good message, a bad one, a ping that is not answered any more."""
        data = frame(TEXT, b"hello") + frame(TEXT, b"hello", rsv=rsv) + frame(PING)
        with opened(plain) as socket:
            socket.send_in_pieces(data, chop) if chop else socket.send(data)
            assert socket.message() == (TEXT, b"hello")
            socket.expect_close(1002)

    @pytest.mark.parametrize("rsv", [1, 2, 3, 5, 6, 7])
    @pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
    def test_7692_6_the_other_bits_stay_reserved_with_compression(self, plain, opcode, rsv):
        with opened(plain, extensions="permessage-deflate") as socket:
            socket.send_frame(opcode, b"", rsv=rsv)
            socket.expect_close(1002)


class TestOpcodes:
    """Section 4 of the public suite."""

    RESERVED = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]

    @pytest.mark.parametrize("opcode", RESERVED)
    @pytest.mark.parametrize("body", [b"", b"hello", b"x" * 126])
    def test_6455_5_2_a_reserved_opcode_is_1002(self, plain, opcode, body):
        with opened(plain) as socket:
            socket.send_frame(opcode, body)
            socket.expect_close(1002)

    @pytest.mark.parametrize("opcode", RESERVED)
    @pytest.mark.parametrize("chop", [None, 1])
    def test_6455_5_2_what_came_before_is_answered_first(self, plain, opcode, chop):
        data = frame(TEXT, b"hello") + frame(opcode, b"x") + frame(PING)
        with opened(plain) as socket:
            socket.send_in_pieces(data, chop) if chop else socket.send(data)
            assert socket.message() == (TEXT, b"hello")
            socket.expect_close(1002)

    @pytest.mark.parametrize("opcode", RESERVED)
    def test_6455_5_2_nor_may_it_be_fragmented(self, plain, opcode):
        with opened(plain) as socket:
            socket.send_frame(opcode, b"x", fin=False)
            socket.expect_close(1002)

    @pytest.mark.parametrize("opcode", RESERVED)
    def test_6455_5_2_nor_stand_inside_a_message(self, plain, opcode):
        with opened(plain) as socket:
            socket.send_frame(TEXT, b"x", fin=False).send_frame(opcode, b"x")
            socket.expect_close(1002)


class TestKinds:
    @pytest.mark.parametrize("body", [b"\x00", b"\xff" * 10, b"\xc3\x28", bytes(range(256))])
    def test_6455_5_6_binary_is_any_bytes(self, plain, body):
        with opened(plain) as socket:
            socket.echo(BINARY, body)

    def test_6455_5_6_text_and_binary_come_back_as_what_they_were(self, plain):
        with opened(plain) as socket:
            for number in range(100):
                socket.echo(TEXT if number % 2 else BINARY, b"%d" % number)

    @pytest.mark.parametrize("first", range(256), ids=lambda o: f"{o:02x}")
    def test_6455_5_2_every_first_byte_of_a_frame(self, plain, first):
        """An empty masked frame: answered, or refused with 1002, by its first byte alone."""
        with opened(plain) as socket:
            socket.send(bytes([first, 0x80, 1, 2, 3, 4]))
            fin, rsv, opcode = first & 0x80, first & 0x70, first & 15
            if rsv or opcode not in (TEXT, BINARY, CLOSE, PING, PONG) or opcode >= 8 and not fin:
                socket.expect_close(1002)
            elif opcode == CLOSE:
                socket.expect_close(None)
            elif opcode == PING:
                socket.expect_pong()
            elif opcode == PONG:
                socket.echo(TEXT, b"hello")
            else:
                if not fin:
                    socket.send_frame(CONTINUATION)
                assert socket.message() == (opcode, b"")
