"""What a compressed message may be: the examples of RFC 7692 §7.2.3, the rules of §6 and §7.2, bombs (§8)."""

import random
import zlib

import pytest
from test_websocket_deflate import SERVERS, texts
from wire.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    Deflate,
    close_payload,
    fragments,
    frame,
    mask,
    opened,
)

full = pytest.mark.full
HELLO = bytes.fromhex("f248cdc9c90700")


class TestExamples:
    """RFC 7692 §7.2.3, byte by byte."""

    def test_7692_7_2_3_1_one_block(self, plain):
        with opened(plain, extensions="permessage-deflate") as socket:
            socket.send_frame(TEXT, HELLO, rsv=4)
            assert socket.message() == (TEXT, b"Hello")

    def test_7692_7_2_3_1_in_two_fragments(self, plain):
        with opened(plain, extensions="permessage-deflate") as socket:
            socket.send_frame(TEXT, HELLO[:3], fin=False, rsv=4).send_frame(CONTINUATION, HELLO[3:])
            assert socket.message() == (TEXT, b"Hello")

    def test_7692_7_2_3_2_sharing_the_window(self, takeover):
        with opened(takeover, extensions="permessage-deflate") as socket:
            assert socket.deflate.client_keeps
            for data in (HELLO, HELLO, bytes.fromhex("f200110000")):
                socket.send_frame(TEXT, data, rsv=4)
                assert socket.message() == (TEXT, b"Hello")

    @pytest.mark.parametrize("name, first", [("plain", []), ("plain", [HELLO]), ("takeover", [])])
    def test_7692_7_1_1_2_a_reference_to_nothing_is_1007(self, gateways, name, first):
        with opened(gateways(name), extensions="permessage-deflate") as socket:
            for data in first:
                socket.send_frame(TEXT, data, rsv=4)
                assert socket.message() == (TEXT, b"Hello")
            socket.send_frame(TEXT, bytes.fromhex("f200110000"), rsv=4)
            socket.expect_close(1007)

    def test_7692_7_2_3_3_a_block_without_compression(self, plain):
        with opened(plain, extensions="permessage-deflate") as socket:
            socket.send_frame(TEXT, bytes.fromhex("000500faff48656c6c6f00"), rsv=4)
            assert socket.message() == (TEXT, b"Hello")

    @pytest.mark.parametrize("name", SERVERS)
    def test_7692_7_2_3_4_a_final_block(self, gateways, name):
        with opened(gateways(name), extensions="permessage-deflate") as socket:
            for _ in range(3):
                socket.send_frame(TEXT, bytes.fromhex("f348cdc9c9070000"), rsv=4)
                assert socket.message() == (TEXT, b"Hello")
                socket.send_frame(TEXT, HELLO, rsv=4)
                assert socket.message() == (TEXT, b"Hello")

    def test_7692_7_2_3_4_after_a_final_block_the_window_is_still_there(self, takeover):
        with opened(takeover, extensions="permessage-deflate") as socket:
            socket.send_frame(TEXT, bytes.fromhex("f348cdc9c9070000"), rsv=4)
            assert socket.message() == (TEXT, b"Hello")
            socket.send_frame(TEXT, bytes.fromhex("f200110000"), rsv=4)
            assert socket.message() == (TEXT, b"Hello")

    def test_7692_7_2_3_5_two_blocks(self, plain):
        with opened(plain, extensions="permessage-deflate") as socket:
            socket.send_frame(TEXT, bytes.fromhex("f24805000000ffffcac9c90700"), rsv=4)
            assert socket.message() == (TEXT, b"Hello")

    @pytest.mark.parametrize("data", [b"\0", b"\x02\0", b"\x03\0\0", b"\0\0\0\xff\xff\0"])
    @pytest.mark.parametrize("name", ["plain", "takeover"])
    def test_7692_7_2_3_6_an_empty_message(self, gateways, name, data):
        with opened(gateways(name), extensions="permessage-deflate") as socket:
            socket.send_frame(TEXT, data, rsv=4)
            assert socket.message() == (TEXT, b"")
            socket.echo(TEXT, b"after", compressed=True)

    @pytest.mark.parametrize("name", ["plain", "takeover"])
    def test_7692_7_2_2_an_empty_frame_is_empty_or_1007(self, gateways, name):
        """RFC 7692 asks for one byte; some senders leave it out."""
        with opened(gateways(name), extensions="permessage-deflate") as socket:
            socket.send_frame(TEXT, b"", rsv=4)
            got = socket.frame()
            assert (got.opcode, got.code if got.opcode == CLOSE else got.payload) in (
                (CLOSE, 1007),
                (TEXT, b""),
                (TEXT, b"\0"),
            )

    def test_7692_6_1_an_empty_fragment_ends_a_message(self, plain):
        with opened(plain, extensions="permessage-deflate") as socket:
            socket.send_frame(TEXT, HELLO, fin=False, rsv=4).send_frame(CONTINUATION, b"")
            assert socket.message() == (TEXT, b"Hello")

    def test_7692_6_1_empty_fragments_all_over(self, plain):
        with opened(plain, extensions="permessage-deflate") as socket:
            socket.send_frame(TEXT, b"", fin=False, rsv=4).send_frame(CONTINUATION, HELLO[:2], fin=False).send_frame(
                CONTINUATION, b"", fin=False
            ).send_frame(CONTINUATION, HELLO[2:])
            assert socket.message() == (TEXT, b"Hello")


class TestRules:
    """RFC 7692 §6, §7.2, §8."""

    def test_7692_6_1_uncompressed_messages_may_come_in_between(self, takeover):
        with opened(takeover, extensions="permessage-deflate") as socket:
            for number, message in enumerate(texts(40, 500)):
                socket.echo(TEXT, message, compressed=bool(number % 2))

    @pytest.mark.parametrize("fin", [True, False])
    def test_7692_6_1_rsv1_on_a_continuation_is_1002(self, plain, fin):
        with opened(plain, extensions="permessage-deflate") as socket:
            socket.send_frame(TEXT, HELLO[:3], fin=False, rsv=4).send_frame(CONTINUATION, HELLO[3:], fin=fin, rsv=4)
            socket.expect_close(1002)

    @pytest.mark.parametrize("opcode", [CLOSE, PING, 10])
    def test_7692_6_1_rsv1_on_a_control_frame_is_1002(self, plain, opcode):
        with opened(plain, extensions="permessage-deflate") as socket:
            socket.send_frame(opcode, b"", rsv=4)
            socket.expect_close(1002)

    @pytest.mark.parametrize("opcode", [3, 7, 11, 15])
    def test_7692_6_1_rsv1_on_a_reserved_opcode_is_1002(self, plain, opcode):
        with opened(plain, extensions="permessage-deflate") as socket:
            socket.send_frame(opcode, b"", rsv=4)
            socket.expect_close(1002)

    @pytest.mark.parametrize("name", SERVERS)
    def test_7692_6_1_control_frames_come_between_compressed_fragments(self, gateways, name):
        with opened(gateways(name), extensions="permessage-deflate") as socket:
            for message in texts(5, 3000):
                data = socket.deflate.compress(message)
                pieces = fragments(TEXT, data, len(data) // 4 + 1, rsv=4)
                for number, piece in enumerate(pieces):
                    socket.send(piece)
                    if number < len(pieces) - 1:
                        socket.send_frame(PING, b"%d" % number)
                        socket.expect_pong(b"%d" % number)
                assert socket.message() == (TEXT, message)

    @pytest.mark.parametrize("chop", [1, 3, 50])
    @pytest.mark.parametrize("name", SERVERS)
    def test_7692_6_2_however_tcp_delivers_it(self, gateways, name, chop):
        with opened(gateways(name), extensions="permessage-deflate") as socket:
            for message in texts(3, 1500):
                socket.send_in_pieces(frame(TEXT, socket.deflate.compress(message), rsv=4), chop)
                assert socket.message() == (TEXT, message)

    @pytest.mark.parametrize(
        "data",
        [
            b"\xff",
            b"\xff" * 50,
            b"\x07",
            b"\x06",
            bytes.fromhex("000500fafe48656c6c6f00"),
            bytes.fromhex("f248cdc9c907"),
            b"\x05\xc0\x81\x08\0\0",
            HELLO[:-2] + b"\xff\xff\xff",
            bytes.fromhex("000500faff4865"),
            b"\x01",
            b"\x04\xc0",
        ],
    )
    @pytest.mark.parametrize("name", ["plain", "takeover"])
    def test_7692_7_2_2_what_cannot_be_inflated_is_1007(self, gateways, name, data):
        with opened(gateways(name), extensions="permessage-deflate") as socket:
            socket.send_frame(BINARY, data, rsv=4)
            socket.expect_close(1007)

    @pytest.mark.parametrize("extra", [b"\0\0\xff\xff", b"xxxx", b"\x01"])
    def test_7692_7_2_2_bytes_after_the_final_block_are_no_crash(self, plain, extra):
        with opened(plain, extensions="permessage-deflate") as socket:
            socket.send_frame(TEXT, bytes.fromhex("f348cdc9c9070000") + extra, rsv=4)
            got = socket.frame()
            assert got.opcode == CLOSE and got.code == 1007 or got.payload is not None

    def test_6455_8_1_inflated_text_fails_fast(self, plain):
        compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
        data = compressor.compress(b"good \xff") + compressor.flush(zlib.Z_SYNC_FLUSH)
        with opened(plain, extensions="permessage-deflate") as socket:
            socket.send_frame(TEXT, data, fin=False, rsv=4)
            socket.expect_close(1007)

    def test_6455_8_1_a_character_may_end_in_the_next_fragment(self, plain):
        with opened(plain, extensions="permessage-deflate") as socket:
            for fragment in (1, 2, 3):
                socket.echo(TEXT, "κόσμε 漢字 𝄞 ".encode() * 20, compressed=True, fragment=fragment)

    def test_7692_7_1_2_2_a_distance_beyond_the_clients_window_is_no_crash(self, nine):
        """The client agreed to 9 bits and uses 15: understood or refused, but never another message."""
        with opened(nine, extensions="permessage-deflate; client_max_window_bits") as socket:
            assert socket.deflate.client_bits == 9
            chance = random.Random(1)
            body = (block := chance.randbytes(200)) + chance.randbytes(8000) + block
            data = zlib.compressobj(9, zlib.DEFLATED, -15)
            socket.send_frame(BINARY, data.compress(body) + data.flush(zlib.Z_SYNC_FLUSH)[:-4], rsv=4)
            got = socket.frame()
            if got.opcode == CLOSE:
                assert got.code == 1007
            else:
                assert socket.deflate.inflate(got.payload) == body if got.rsv else got.payload == body


class TestBombs:
    """RFC 7692 §8; the size that counts is the inflated one."""

    @staticmethod
    def bomb(size, bits=15, level=9):
        compressor = zlib.compressobj(level, zlib.DEFLATED, -bits)
        data = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(size >> 20)) + compressor.compress(
            bytes(size & 0xFFFFF)
        )
        return data + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]

    @pytest.mark.parametrize("size", [(1 << 20) + 1, 2 << 20, 64 << 20, pytest.param(900 << 20, marks=full)])
    @pytest.mark.parametrize("name", ["plain", "takeover"])
    @pytest.mark.parametrize("kind", [TEXT, BINARY])
    def test_7692_8_a_bomb_is_1009(self, gateways, name, kind, size):
        with opened(gateways(name), extensions="permessage-deflate") as socket:
            socket.send_frame(kind, self.bomb(size), rsv=4)
            socket.expect_close(1009)

    @pytest.mark.parametrize("name", ["plain", "takeover"])
    def test_7692_8_in_fragments_too(self, gateways, name):
        with opened(gateways(name), extensions="permessage-deflate") as socket:
            socket.send(b"".join(fragments(BINARY, self.bomb(64 << 20), 500, rsv=4)))
            socket.expect_close(1009)

    @pytest.mark.parametrize("name", ["plain", "takeover"])
    def test_7692_8_a_message_of_exactly_the_limit_is_fine(self, gateways, name):
        with opened(gateways(name), extensions="permessage-deflate") as socket:
            socket.send_frame(BINARY, self.bomb(1 << 20), rsv=4)
            assert socket.message() == (BINARY, bytes(1 << 20))

    @pytest.mark.parametrize("size", [32_768, 32_769, 100_000])
    def test_7692_8_the_limit_of_the_small_gateway(self, small, size):
        with opened(small, extensions="permessage-deflate") as socket:
            socket.send_frame(BINARY, self.bomb(size), rsv=4)
            if size <= 32_768:
                assert socket.message() == (BINARY, bytes(size))
            else:
                socket.expect_close(1009)

    def test_6455_7_4_1_a_compressed_frame_over_the_limit_is_1009(self, small):
        with opened(small, extensions="permessage-deflate") as socket:
            socket.send_frame(BINARY, b"\0", rsv=4, length=16_385)
            socket.expect_close(1009)

    def test_7692_8_after_a_bomb_the_others_live(self, plain):
        with opened(plain, extensions="permessage-deflate") as good:
            for _ in range(5):
                with opened(plain, extensions="permessage-deflate") as bad:
                    bad.send_frame(BINARY, self.bomb(16 << 20), rsv=4)
                    bad.expect_close(1009)
                good.echo(TEXT, b"hello " * 100, compressed=True)


def test_the_client_masks_and_inflates_as_it_should():
    """The suite's own arithmetic, so that a failing case is the gateway's."""
    assert mask(mask(b"hello world", b"\x01\x02\x03\x04"), b"\x01\x02\x03\x04") == b"hello world"
    assert frame(TEXT, b"Hello", key=b"\x37\xfa\x21\x3d") == bytes.fromhex("818537fa213d7f9f4d5158")  # RFC 6455 5.7
    assert Deflate({}).inflate(HELLO) == b"Hello"
    assert close_payload(1000) == b"\x03\xe8"
