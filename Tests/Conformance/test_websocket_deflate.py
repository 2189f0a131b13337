"""permessage-deflate: RFC 7692; sections 12 and 13 of the public suite.

Messages are compressed and inflated here by zlib, with the window and the takeover that the answer agreed on.
"""

import itertools
import json
import random
import zlib

import pytest
from wire.http import HTTPConnection
from wire.websocket import BINARY, CLOSE, CONTINUATION, PING, TAIL, TEXT, Deflate, close_payload, fragments, frame, handshake, mask, opened, parse_parameters

#: What each gateway may answer at most: (keeps its window, lets the client keep its own, window bits).
SERVERS = {"plain": (False, False, 15), "takeover": (True, True, 15), "nine": (True, True, 9), "alone": (False, False, 10)}
BITS = [None, *range(8, 16)]
full = pytest.mark.full


def offer(server_none=False, client_none=False, server_bits=None, client_bits=None):
    """An offer as text; `client_bits` of "any" leaves the value out."""
    text = "permessage-deflate"
    if server_none:
        text += "; server_no_context_takeover"
    if client_none:
        text += "; client_no_context_takeover"
    if server_bits is not None:
        text += f"; server_max_window_bits={server_bits}"
    if client_bits is not None:
        text += "; client_max_window_bits" + ("" if client_bits == "any" else f"={client_bits}")
    return text


def legal(answer, offered, server_none=False, client_none=False, server_bits=None, client_bits=None):
    """RFC 7692 §7.1: whether `answer` may be given to the offer."""
    found = parse_parameters(answer)
    known = {"server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits", "client_max_window_bits"}
    assert set(found) <= known, f"{answer}: a parameter that RFC 7692 does not know"
    for name in ("server_no_context_takeover", "client_no_context_takeover"):
        assert found.get(name) is None, f"7.1.1: {name} has a value: {answer}"
    if server_none:
        assert "server_no_context_takeover" in found, f"7.1.1.1: {answer} to {offered}"
    for name, asked in (("server_max_window_bits", server_bits), ("client_max_window_bits", client_bits)):
        if name in found:
            value = found[name]
            assert value is not None and value.isdigit() and str(int(value)) == value and 8 <= int(value) <= 15, f"7.1.2: {answer}"
            if isinstance(asked, int):
                assert int(value) <= asked, f"7.1.2: {answer} to {offered}"
    if server_bits is not None:
        assert "server_max_window_bits" in found, f"7.1.2.1: {answer} to {offered}"
    if client_bits is None:
        assert "client_max_window_bits" not in found, f"7.1.2.2: {answer} to {offered}"
    if isinstance(client_bits, int) and "client_max_window_bits" in found:
        assert int(found["client_max_window_bits"]) <= client_bits
    return found


def negotiate(gateway, offered):
    with HTTPConnection(gateway) as connection:
        connection.send(handshake(fields=f"Sec-WebSocket-Extensions: {offered}\r\n"))
        answer = connection.response()
        assert answer.status == 101, answer
        return answer.get("sec-websocket-extensions")


def texts(count, size, seed=1):
    """JSON-like messages that compress well and refer to each other."""
    chance = random.Random(seed)
    words = ["stream", "segment", "peer", "token", "latency", "1080p", "ß", "漢字", "true", "null"]
    for number in range(count):
        made = json.dumps({"n": number, "items": [{"id": chance.randrange(1000), "word": chance.choice(words)} for _ in range(size // 30 + 1)]}, ensure_ascii=False).encode()
        yield (made + b" " * size)[: max(size, 0)].decode("utf-8", "ignore").encode()


class TestNegotiation:
    @pytest.mark.parametrize("server_bits", BITS)
    @pytest.mark.parametrize("client_bits", [None, "any", *range(8, 16)])
    @pytest.mark.parametrize("name", SERVERS)
    def test_7692_7_1_every_combination_is_answered_legally_and_works(self, gateways, name, server_bits, client_bits):
        for server_none, client_none in itertools.product((False, True), repeat=2):
            asked = {"server_none": server_none, "client_none": client_none, "server_bits": server_bits, "client_bits": client_bits}
            text = offer(**asked)
            with opened(gateways(name), extensions=text) as socket:
                answer = socket.answer.get("sec-websocket-extensions")
                if answer is None:
                    assert server_bits == 8, f"declined: {text}"
                    socket.echo(TEXT, b"plain " * 100)
                    continue
                legal(answer, text, **asked)
                for message in texts(3, 3000):
                    socket.send_message(TEXT, message, compressed=True)
                    assert socket.message() == (TEXT, message)

    @pytest.mark.parametrize("name", SERVERS)
    def test_7692_7_1_as_much_as_its_settings_allow(self, gateways, name):
        keeps, lets_keep, bits = SERVERS[name]
        found = parse_parameters(negotiate(gateways(name), "permessage-deflate; client_max_window_bits"))
        assert ("server_no_context_takeover" not in found) == keeps
        assert ("client_no_context_takeover" not in found) == lets_keep
        assert int(found.get("server_max_window_bits") or 15) == bits
        assert int(found.get("client_max_window_bits") or 15) <= bits

    @pytest.mark.parametrize(
        "text",
        ["permessage-deflate; server_max_window_bits=7", "permessage-deflate; server_max_window_bits=16", "permessage-deflate; server_max_window_bits=0", "permessage-deflate; server_max_window_bits",
         "permessage-deflate; server_max_window_bits=08", "permessage-deflate; server_max_window_bits=010", "permessage-deflate; server_max_window_bits=abc", "permessage-deflate; server_max_window_bits=1x",
         "permessage-deflate; server_max_window_bits=+10", "permessage-deflate; server_max_window_bits=-10", "permessage-deflate; server_max_window_bits=999999999999999999999",
         "permessage-deflate; client_max_window_bits=7", "permessage-deflate; client_max_window_bits=16", "permessage-deflate; client_max_window_bits=08", "permessage-deflate; client_max_window_bits=x",
         "permessage-deflate; server_no_context_takeover=1", "permessage-deflate; client_no_context_takeover=true", 'permessage-deflate; server_no_context_takeover="x"',
         "permessage-deflate; server_no_context_takeover; server_no_context_takeover", "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
         "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", "permessage-deflate; unknown", "permessage-deflate; unknown=1", "permessage-deflate; server_max_window_bits=10; foo"],
    )
    def test_7692_5_1_7_1_an_offer_that_is_not_one_is_declined(self, plain, text):
        with opened(plain, extensions=text) as socket:
            assert socket.answer.get("sec-websocket-extensions") is None
            socket.echo(TEXT, b"uncompressed")

    @pytest.mark.parametrize("text, bits", [('permessage-deflate; server_max_window_bits="10"', 10), ('permessage-deflate;server_max_window_bits="9"', 9), ("permessage-deflate ; server_max_window_bits = 12", 12)])
    def test_6455_9_1_a_quoted_value_is_its_token(self, plain, text, bits):
        assert parse_parameters(negotiate(plain, text))["server_max_window_bits"] == str(bits)

    @pytest.mark.parametrize(
        "text",
        ["permessage-deflate; foo, permessage-deflate", "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10", "foo, permessage-deflate", "permessage-deflate, foo",
         "permessage-deflate; server_max_window_bits=99, foo; bar, permessage-deflate; client_max_window_bits"],
    )
    def test_7692_5_the_first_acceptable_offer_is_taken(self, plain, text):
        with opened(plain, extensions=text) as socket:
            assert socket.deflate
            socket.echo(TEXT, b"hello " * 100, compressed=True)

    def test_7692_5_in_the_clients_order(self, plain):
        answer = negotiate(plain, "permessage-deflate; server_max_window_bits=11, permessage-deflate; server_max_window_bits=12")
        assert "server_max_window_bits=11" in answer

    @pytest.mark.parametrize("text", ["permessage-deflate", offer(True, True, 15, 15)])
    def test_7692_5_switched_off_it_is_not_agreed_on(self, uncompressed, text):
        with opened(uncompressed, extensions=text) as socket:
            assert socket.answer.get("sec-websocket-extensions") is None
            socket.send_frame(TEXT, b"x", rsv=4)
            socket.expect_close(1002)

    def test_7692_5_1_not_offered_it_is_not_agreed_on(self, plain):
        with opened(plain) as socket:
            socket.send_frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=4)
            socket.expect_close(1002)


class TestPayloads:
    """Section 12: payloads of every size, many of them, alone and in fragments; 13: the same under other parameters."""

    SIZES = [0, 1, 15, 16, 17, 64, 256, 1024, 4096, 8192, 16_384, 32_768, 32_769, 65_535, 65_536, 131_072]
    OFFERS = {
        "13.1 as offered": {}, "13.2 server without takeover": {"server_none": True}, "13.3 server window of 9": {"server_bits": 9}, "13.4 server window of 15": {"server_bits": 15},
        "13.5 server without takeover, window of 9": {"server_none": True, "server_bits": 9}, "13.6 server without takeover, window of 15": {"server_none": True, "server_bits": 15},
        "13.7 client without takeover": {"client_none": True}, "13.8 client window of 9": {"client_bits": 9}, "13.9 all": {"server_none": True, "client_none": True, "server_bits": 10, "client_bits": 10},
    }

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("name", SERVERS)
    def test_12_1_text_of_every_size(self, gateways, name, size, is_full):
        with opened(gateways(name), extensions="permessage-deflate; client_max_window_bits") as socket:
            for message in texts(200 if is_full else 10, size):
                socket.echo(TEXT, message, compressed=True)
            socket.close_properly()

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("name", SERVERS)
    def test_12_2_bytes_that_do_not_compress(self, gateways, name, size, is_full):
        chance = random.Random(size)
        with opened(gateways(name), extensions="permessage-deflate; client_max_window_bits") as socket:
            for _ in range(100 if is_full else 6):
                socket.echo(BINARY, chance.randbytes(size), compressed=True)
            socket.close_properly()

    @pytest.mark.parametrize("size", [1000, 40_000])
    @pytest.mark.parametrize("fragment", [1, 7, 100, 5000])
    @pytest.mark.parametrize("name", SERVERS)
    def test_12_4_in_fragments(self, gateways, name, size, fragment):
        with opened(gateways(name), extensions="permessage-deflate; client_max_window_bits") as socket:
            for message in texts(4, size):
                socket.echo(TEXT, message, compressed=True, fragment=fragment)

    @pytest.mark.parametrize("parameters", OFFERS.values(), ids=OFFERS)
    @pytest.mark.parametrize("name", SERVERS)
    @pytest.mark.parametrize("size", [100, 1024, 16_384, 100_000])
    def test_13_under_all_parameters(self, gateways, name, parameters, size, is_full):
        with opened(gateways(name), extensions=offer(**parameters)) as socket:
            legal(socket.answer.get("sec-websocket-extensions"), "", **parameters)
            for message in texts(100 if is_full else 5, size):
                socket.echo(TEXT, message, compressed=True)
                socket.echo(BINARY, message[::-1], compressed=True, fragment=size // 3 + 1)

    @pytest.mark.parametrize("size", [1 << 20, 4 << 20, 16 << 20])
    def test_12_3_large(self, large, size):
        with opened(large, extensions="permessage-deflate") as socket:
            body = b"".join(texts(1, size // 2)) + bytes(size - size // 2)
            socket.echo(BINARY, body[:size], compressed=True, level=1)

    @pytest.mark.parametrize("name", SERVERS)
    @pytest.mark.parametrize("bits", [9, 10, 12, 15])
    def test_7692_7_2_1_no_distance_beyond_the_agreed_window(self, gateways, name, bits):
        """Repeats at every distance up to 64 KiB, inflated byte by byte with no more window than agreed."""
        chance = random.Random(bits)
        block = chance.randbytes(150)
        body = b"".join(block + chance.randbytes(1 << n) for n in range(5, 14))
        with opened(gateways(name), extensions=offer(server_bits=bits)) as socket:
            for _ in range(3):
                socket.send_message(BINARY, body, compressed=True)
                assert socket.message(strictly=True) == (BINARY, body)

    @pytest.mark.parametrize("name", ["takeover", "nine"])
    def test_7692_7_1_1_with_takeover_the_second_time_is_shorter(self, gateways, name):
        """That both sides really keep their window shows in the sizes."""
        with opened(gateways(name), extensions="permessage-deflate") as socket:
            # zlib looks back no further than its window less 262 bytes: with 9 bits, 250.
            body = bytes(random.Random(5).choices(b"abcdefghijklmnopqrstuvwxyz", k=150))
            sizes = []
            for _ in range(2):
                socket.send_message(BINARY, body, compressed=True)
                got = socket.frame()
                sizes.append(len(got.payload))
                assert socket.deflate.inflate(got.payload) == body
            assert sizes[1] < sizes[0] / 2

    @pytest.mark.parametrize("name", SERVERS)
    def test_7692_7_1_1_without_takeover_every_message_stands_alone(self, gateways, name):
        with opened(gateways(name), extensions="permessage-deflate; server_no_context_takeover; client_no_context_takeover") as socket:
            for message in texts(20, 2000):
                socket.send_message(TEXT, message, compressed=True)
                got = socket.frame()
                bits = socket.deflate.server_bits
                assert got.payload == message or zlib.decompressobj(-bits).decompress(got.payload + TAIL) == message

    @pytest.mark.parametrize("level", range(10))
    @pytest.mark.parametrize("name", SERVERS)
    def test_7692_7_2_2_whatever_the_clients_compressor_does(self, gateways, name, level):
        with opened(gateways(name), extensions="permessage-deflate; client_max_window_bits") as socket:
            for message in texts(3, 20_000):
                socket.echo(TEXT, message, compressed=True, level=level)


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
            assert (got.opcode, got.code if got.opcode == CLOSE else got.payload) in ((CLOSE, 1007), (TEXT, b""), (TEXT, b"\0"))

    def test_7692_6_1_an_empty_fragment_ends_a_message(self, plain):
        with opened(plain, extensions="permessage-deflate") as socket:
            socket.send_frame(TEXT, HELLO, fin=False, rsv=4).send_frame(CONTINUATION, b"")
            assert socket.message() == (TEXT, b"Hello")

    def test_7692_6_1_empty_fragments_all_over(self, plain):
        with opened(plain, extensions="permessage-deflate") as socket:
            socket.send_frame(TEXT, b"", fin=False, rsv=4).send_frame(CONTINUATION, HELLO[:2], fin=False).send_frame(CONTINUATION, b"", fin=False).send_frame(CONTINUATION, HELLO[2:])
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

    @pytest.mark.parametrize("data", [b"\xff", b"\xff" * 50, b"\x07", b"\x06", bytes.fromhex("000500fafe48656c6c6f00"), bytes.fromhex("f248cdc9c907"), b"\x05\xc0\x81\x08\0\0", HELLO[:-2] + b"\xff\xff\xff",
                                      bytes.fromhex("000500faff4865"), b"\x01", b"\x04\xc0"])
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
        data = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(size >> 20)) + compressor.compress(bytes(size & 0xFFFFF))
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
