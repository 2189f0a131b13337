"""Limits and performance: sections 9 and 10 of the public suite; RFC 6455 §7.4.1, §10.4.

No time is measured: a case that takes too long fails by the patience of its connection.
"""

import os
import threading
import time

import pytest
from wire.websocket import BINARY, CLOSE, CONTINUATION, PING, TEXT, close_payload, fragments, frame, opened

KIB, MIB = 1 << 10, 1 << 20
full = pytest.mark.full


def echo(gateway, kind, data, **options):
    """Sends and receives at the same time, as neither side could hold it all."""
    with opened(gateway) as socket:
        pieces = fragments(kind, data, options["fragment"]) if "fragment" in options else [frame(kind, data)]
        chop = options.get("chop")

        def send():
            whole = b"".join(pieces)
            socket.send_in_pieces(whole, chop) if chop else socket.send(whole)

        sender = threading.Thread(target=send)
        sender.start()
        got = socket.message()
        sender.join()
        assert got[0] == kind and got[1] == data
        socket.close_properly()


class TestLarge:
    SIZES = [64 * KIB, 256 * KIB, MIB, 4 * MIB, pytest.param(8 * MIB, marks=full), 16 * MIB]

    @pytest.mark.parametrize("size", SIZES)
    def test_9_1_text_in_one_frame(self, large, size):
        echo(large, TEXT, b"BAsd7&jh23" * (size // 10) + b"*" * (size % 10))

    @pytest.mark.parametrize("size", SIZES)
    def test_9_2_binary_in_one_frame(self, large, size):
        echo(large, BINARY, os.urandom(size))

    @pytest.mark.parametrize("fragment", [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB])
    @pytest.mark.parametrize("kind", [TEXT, BINARY])
    def test_9_3_9_4_four_mib_in_fragments(self, large, kind, fragment):
        echo(large, kind, b"x" * (4 * MIB), fragment=fragment)

    @pytest.mark.parametrize("fragment", [pytest.param(64, marks=full), 65_536])
    def test_9_4_sixteen_mib_in_fragments(self, large, fragment):
        echo(large, BINARY, bytes(16 * MIB), fragment=fragment)

    @pytest.mark.parametrize("chop", [64, 128, 256, 512, KIB, 2 * KIB])
    @pytest.mark.parametrize("kind", [TEXT, BINARY])
    def test_9_5_9_6_one_mib_in_segments(self, large, kind, chop):
        if chop < 512:
            echo(large, kind, b"y" * (256 * KIB), chop=chop)
        else:
            echo(large, kind, b"y" * MIB, chop=chop)

    @pytest.mark.parametrize("size", [0, 16, 64, 256, KIB, 4 * KIB])
    @pytest.mark.parametrize("kind", [TEXT, BINARY])
    def test_9_7_9_8_a_thousand_round_trips(self, large, kind, size):
        with opened(large) as socket:
            body = b"z" * size
            for _ in range(1000):
                socket.echo(kind, body)
            socket.close_properly()

    @pytest.mark.parametrize("kind", [TEXT, BINARY])
    def test_10_1_one_message_of_65536_in_fragments_of_1300(self, large, kind):
        echo(large, kind, b"*" * 65_536, fragment=1300)

    def test_9_a_thousand_messages_at_once(self, large):
        """Sent without reading, the answers taken afterwards."""
        with opened(large) as socket:
            sender = threading.Thread(
                target=lambda: socket.send(b"".join(frame(BINARY, b"%06d" % n * 100) for n in range(5000)))
            )
            sender.start()
            for number in range(5000):
                assert socket.message() == (BINARY, b"%06d" % number * 100)
            sender.join()

    def test_9_a_reader_that_waits_gets_everything(self, large):
        with opened(large, receive_buffer=8192) as socket:
            sender = threading.Thread(target=lambda: socket.send(frame(BINARY, b"q" * 50_000) * 200))
            sender.start()
            socket.let_pile_up()
            for _ in range(200):
                assert socket.message() == (BINARY, b"q" * 50_000)
            sender.join()
            socket.close_properly()

    def test_9_pings_get_through_a_large_message(self, large):
        pieces = fragments(BINARY, bytes(4 * MIB), 64 * KIB)
        with opened(large) as socket:
            for number, piece in enumerate(pieces[:-1]):
                socket.send(piece).send_frame(PING, b"%d" % number)
                socket.expect_pong(b"%d" % number)
            socket.send(pieces[-1])
            assert socket.message() == (BINARY, bytes(4 * MIB))


class TestLimits:
    """The gateway `small`: frames of 16 KiB, messages of 32 KiB, 16 fragments."""

    @pytest.mark.parametrize("kind", [TEXT, BINARY])
    def test_6455_7_4_1_a_frame_at_the_limit(self, small, kind):
        with opened(small) as socket:
            socket.echo(kind, b"x" * 16_384)

    @pytest.mark.parametrize("size", [16_385, 20_000, 65_536, MIB, 1 << 40])
    @pytest.mark.parametrize("kind", [TEXT, BINARY])
    def test_6455_7_4_1_a_frame_over_it_is_1009(self, small, kind, size):
        with opened(small) as socket:
            socket.send_frame(kind, b"x" * min(size, 100_000), length=size)
            socket.expect_close(1009)

    def test_6455_7_4_1_a_fragment_over_it_is_1009(self, small):
        with opened(small) as socket:
            socket.send_frame(BINARY, b"x", fin=False).send_frame(CONTINUATION, b"x" * 16_385)
            socket.expect_close(1009)

    def test_6455_7_4_1_a_message_at_the_limit(self, small):
        with opened(small) as socket:
            socket.echo(BINARY, b"x" * 32_768, fragment=4096)

    @pytest.mark.parametrize("last", [1, 1000])
    def test_6455_7_4_1_a_message_over_it_is_1009(self, small, last):
        with opened(small) as socket:
            socket.send(b"".join(fragments(BINARY, b"x" * (32_768 + last), 4096)))
            socket.expect_close(1009)

    def test_6455_10_4_as_many_fragments_as_allowed(self, small):
        with opened(small) as socket:
            socket.echo(TEXT, b"x" * 16, fragment=1)

    @pytest.mark.parametrize("body", [b"x", b""])
    def test_6455_10_4_one_more_is_1008(self, small, body):
        with opened(small) as socket:
            socket.send_frame(TEXT, body, fin=False)
            for _ in range(16):
                socket.send_frame(CONTINUATION, body, fin=False)
            socket.expect_close(1008, 1009)

    def test_6455_10_4_empty_fragments_without_end(self, plain):
        with opened(plain) as socket:
            socket.send_frame(TEXT, b"", fin=False)
            sender = threading.Thread(target=lambda: socket.send(frame(CONTINUATION, b"", fin=False) * 200_000))
            sender.start()
            socket.expect_close(1008, 1009)
            sender.join()

    @pytest.mark.parametrize("size", [0, 1000])
    def test_6455_7_1_1_a_peer_that_does_not_answer_a_close_is_left(self, small, size):
        """1009 comes, and the connection ends although the client says nothing."""
        with opened(small) as socket:
            socket.send_frame(BINARY, b"x" * size, length=1 << 30)
            start = time.monotonic()
            socket.expect_close(1009)
            assert time.monotonic() - start < 3

    def test_6455_10_4_a_peer_that_pings_and_never_reads_is_cut_off_or_slowed_down(self, plain):
        """It must not be able to make the gateway remember its pongs without end."""
        with opened(plain, receive_buffer=4096) as socket:
            socket.socket.settimeout(1)
            sent = 0
            try:
                while sent < 64 * MIB:
                    socket.socket.sendall(frame(PING, b"x" * 125) * 500)
                    sent += 65_500
            except (TimeoutError, OSError):
                pass
            assert sent < 64 * MIB
        with opened(plain) as socket:
            socket.echo(TEXT, b"the others live")

    def test_6455_10_4_a_peer_that_writes_and_never_reads_is_slowed_down(self, large):
        with opened(large, receive_buffer=4096) as socket:
            socket.socket.settimeout(1)
            sent = 0
            try:
                while sent < 256 * MIB:
                    socket.socket.sendall(frame(BINARY, bytes(60_000)) * 10)
                    sent += 600_000
            except (TimeoutError, OSError):
                pass
            assert sent < 256 * MIB
        with opened(large) as socket:
            socket.echo(TEXT, b"the others live")

    @pytest.mark.parametrize("code", [1000])
    def test_6455_7_1_4_limits_leave_other_sockets_alone(self, small, code):
        with opened(small) as good:
            for _ in range(10):
                with opened(small) as bad:
                    bad.send_frame(BINARY, b"", length=1 << 30)
                    bad.expect_close(1009)
                good.echo(TEXT, b"hello")
            good.send_frame(CLOSE, close_payload(code))
            good.expect_close(code)
