"""permessage-deflate: RFC 7692; sections 12 and 13 of the public suite.

Messages are compressed and inflated here by zlib, with the window and the takeover that the answer agreed on.
"""

import itertools
import json
import random
import zlib

import pytest
from wire.http import HTTPConnection
from wire.websocket import BINARY, TAIL, TEXT, fragments, frame, handshake, opened, parse_parameters

#: What each gateway may answer at most: (keeps its window, lets the client keep its own, window bits).
SERVERS = {
    "plain": (False, False, 15),
    "takeover": (True, True, 15),
    "nine": (True, True, 9),
    "alone": (False, False, 10),
}
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
    known = {
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits",
        "client_max_window_bits",
    }
    assert set(found) <= known, f"{answer}: a parameter that RFC 7692 does not know"
    for name in ("server_no_context_takeover", "client_no_context_takeover"):
        assert found.get(name) is None, f"7.1.1: {name} has a value: {answer}"
    if server_none:
        assert "server_no_context_takeover" in found, f"7.1.1.1: {answer} to {offered}"
    for name, asked in (("server_max_window_bits", server_bits), ("client_max_window_bits", client_bits)):
        if name in found:
            value = found[name]
            assert (
                value is not None and value.isdigit() and str(int(value)) == value and 8 <= int(value) <= 15
            ), f"7.1.2: {answer}"
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
        made = json.dumps(
            {
                "n": number,
                "items": [{"id": chance.randrange(1000), "word": chance.choice(words)} for _ in range(size // 30 + 1)],
            },
            ensure_ascii=False,
        ).encode()
        yield (made + b" " * size)[: max(size, 0)].decode("utf-8", "ignore").encode()


class TestNegotiation:
    @pytest.mark.parametrize("server_bits", BITS)
    @pytest.mark.parametrize("client_bits", [None, "any", *range(8, 16)])
    @pytest.mark.parametrize("name", SERVERS)
    def test_7692_7_1_every_combination_is_answered_legally_and_works(self, gateways, name, server_bits, client_bits):
        for server_none, client_none in itertools.product((False, True), repeat=2):
            asked = {
                "server_none": server_none,
                "client_none": client_none,
                "server_bits": server_bits,
                "client_bits": client_bits,
            }
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
        [
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=0",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=08",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; server_max_window_bits=abc",
            "permessage-deflate; server_max_window_bits=1x",
            "permessage-deflate; server_max_window_bits=+10",
            "permessage-deflate; server_max_window_bits=-10",
            "permessage-deflate; server_max_window_bits=999999999999999999999",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=08",
            "permessage-deflate; client_max_window_bits=x",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=true",
            'permessage-deflate; server_no_context_takeover="x"',
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
            "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
            "permessage-deflate; unknown",
            "permessage-deflate; unknown=1",
            "permessage-deflate; server_max_window_bits=10; foo",
        ],
    )
    def test_7692_5_1_7_1_an_offer_that_is_not_one_is_declined(self, plain, text):
        with opened(plain, extensions=text) as socket:
            assert socket.answer.get("sec-websocket-extensions") is None
            socket.echo(TEXT, b"uncompressed")

    @pytest.mark.parametrize(
        "text, bits",
        [
            ('permessage-deflate; server_max_window_bits="10"', 10),
            ('permessage-deflate;server_max_window_bits="9"', 9),
            ("permessage-deflate ; server_max_window_bits = 12", 12),
        ],
    )
    def test_6455_9_1_a_quoted_value_is_its_token(self, plain, text, bits):
        assert parse_parameters(negotiate(plain, text))["server_max_window_bits"] == str(bits)

    @pytest.mark.parametrize(
        "text",
        [
            "permessage-deflate; foo, permessage-deflate",
            "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10",
            "foo, permessage-deflate",
            "permessage-deflate, foo",
            "permessage-deflate; server_max_window_bits=99, foo; bar, permessage-deflate; client_max_window_bits",
        ],
    )
    def test_7692_5_the_first_acceptable_offer_is_taken(self, plain, text):
        with opened(plain, extensions=text) as socket:
            assert socket.deflate
            socket.echo(TEXT, b"hello " * 100, compressed=True)

    def test_7692_5_in_the_clients_order(self, plain):
        answer = negotiate(
            plain, "permessage-deflate; server_max_window_bits=11, permessage-deflate; server_max_window_bits=12"
        )
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
        "13.1 as offered": {},
        "13.2 server without takeover": {"server_none": True},
        "13.3 server window of 9": {"server_bits": 9},
        "13.4 server window of 15": {"server_bits": 15},
        "13.5 server without takeover, window of 9": {"server_none": True, "server_bits": 9},
        "13.6 server without takeover, window of 15": {"server_none": True, "server_bits": 15},
        "13.7 client without takeover": {"client_none": True},
        "13.8 client window of 9": {"client_bits": 9},
        "13.9 all": {"server_none": True, "client_none": True, "server_bits": 10, "client_bits": 10},
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
        with opened(
            gateways(name), extensions="permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        ) as socket:
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
