"""Pings, pongs, fragments: RFC 6455 §5.4, §5.5; the sections 2 and 5 of the public suite."""

import pytest
from wire.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, fragments, frame, opened


def sends(chop):
    """Sends as one, or chopped into segments of `chop` bytes."""
    return lambda socket, data: socket.send_in_pieces(data, chop) if chop else socket.send(data)


CHOPS = [pytest.param(None, id="whole"), pytest.param(1, id="chopped")]


class TestPings:
    """Section 2."""

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"hello",
            bytes([0, 255, 254, 253, 252, 251, 0, 255]),
            b"\xfe" * 125,
            b"x" * 124,
            b"\0" * 125,
            b"\xc3\x28",
        ],
    )
    @pytest.mark.parametrize("chop", CHOPS)
    def test_6455_5_5_2_a_ping_is_answered_with_its_payload(self, plain, body, chop):
        with opened(plain) as socket:
            sends(chop)(socket, frame(PING, body))
            socket.expect_pong(body)
            socket.close_properly()

    @pytest.mark.parametrize("size", range(126))
    @pytest.mark.full
    def test_6455_5_5_2_of_every_length(self, plain, size):
        with opened(plain) as socket:
            socket.send_frame(PING, bytes(range(size)))
            socket.expect_pong(bytes(range(size)))

    @pytest.mark.parametrize("body", [b"", b"unsolicited", b"x" * 125])
    def test_6455_5_5_3_an_unsolicited_pong_is_not_answered(self, plain, body):
        with opened(plain) as socket:
            socket.send_frame(PONG, body).send_frame(PING, b"mine")
            socket.expect_pong(b"mine")
            socket.close_properly()

    @pytest.mark.parametrize("chop", CHOPS)
    def test_6455_5_5_2_ten_pings_have_ten_pongs_in_order(self, plain, chop):
        with opened(plain) as socket:
            sends(chop)(socket, b"".join(frame(PING, b"%d" % n) for n in range(10)))
            for number in range(10):
                socket.expect_pong(b"%d" % number)
            socket.close_properly()

    def test_6455_5_5_2_ten_thousand_pings(self, plain):
        with opened(plain) as socket:
            for start in range(0, 10_000, 100):
                socket.send(b"".join(frame(PING, b"%d" % n) for n in range(start, start + 100)))
                for number in range(start, start + 100):
                    socket.expect_pong(b"%d" % number)

    @pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
    @pytest.mark.parametrize("body", [b"", b"\x03\xe8"])
    def test_6455_5_4_a_control_frame_is_not_fragmented(self, plain, opcode, body):
        """Cases 5.1 and 5.2."""
        with opened(plain) as socket:
            socket.send_frame(opcode, body, fin=False).send_frame(CONTINUATION, body)
            socket.expect_close(1002)

    def test_6455_5_5_2_data_and_pings_keep_their_order(self, plain):
        with opened(plain) as socket:
            socket.send(b"".join(frame(TEXT, b"%d" % n) + frame(PING, b"%d" % n) for n in range(50)))
            for number in range(50):
                got = socket.frame()
                assert (got.opcode, got.payload) == (TEXT, b"%d" % number)
                socket.expect_pong(b"%d" % number)


class TestFragments:
    """Section 5."""

    @pytest.mark.parametrize("size", [1, 2, 5, 100])
    @pytest.mark.parametrize("kind", [TEXT, BINARY])
    @pytest.mark.parametrize("chop", CHOPS)
    def test_6455_5_4_a_fragmented_message_is_one(self, plain, kind, size, chop):
        body = b"fragment1fragment2" * 10
        with opened(plain) as socket:
            sends(chop)(socket, b"".join(fragments(kind, body, size)))
            assert socket.message() == (kind, body)
            socket.close_properly()

    @pytest.mark.parametrize(
        "parts",
        [
            [b"", b""],
            [b"", b"", b""],
            [b"", b"middle", b""],
            [b"first", b"", b""],
            [b"", b"", b"last"],
            [b"a"] + [b""] * 100 + [b"b"],
        ],
    )
    @pytest.mark.parametrize("kind", [TEXT, BINARY])
    def test_6455_5_4_fragments_may_be_empty(self, plain, kind, parts):
        """Cases 6.1.1 to 6.1.3."""
        with opened(plain) as socket:
            for number, part in enumerate(parts):
                socket.send_frame(kind if number == 0 else CONTINUATION, part, fin=number == len(parts) - 1)
            assert socket.message() == (kind, b"".join(parts))

    @pytest.mark.parametrize("chop", CHOPS)
    def test_6455_5_4_a_ping_between_fragments_is_answered_at_once(self, plain, chop):
        """Cases 5.6 to 5.8: the pong comes before the message."""
        with opened(plain) as socket:
            sends(chop)(socket, frame(TEXT, b"fragment1", fin=False) + frame(PING, b"ping"))
            socket.expect_pong(b"ping")
            sends(chop)(socket, frame(CONTINUATION, b"fragment2"))
            assert socket.message() == (TEXT, b"fragment1fragment2")

    @pytest.mark.parametrize("chop", CHOPS)
    def test_6455_5_4_pings_and_pongs_between_all_fragments(self, plain, chop):
        """Case 5.19 and 5.20: five fragments, pings in between."""
        data = frame(TEXT, b"f1", fin=False) + frame(CONTINUATION, b"f2", fin=False) + frame(PING, b"pong me 1")
        more = (
            frame(CONTINUATION, b"f3", fin=False)
            + frame(CONTINUATION, b"f4", fin=False)
            + frame(PING, b"pong me 2")
            + frame(PONG, b"unasked")
            + frame(CONTINUATION, b"f5")
        )
        with opened(plain) as socket:
            sends(chop)(socket, data)
            socket.expect_pong(b"pong me 1")
            sends(chop)(socket, more)
            socket.expect_pong(b"pong me 2")
            assert socket.message() == (TEXT, b"f1f2f3f4f5")
            socket.close_properly()

    @pytest.mark.parametrize("body", [b"", b"non-continuation payload"])
    @pytest.mark.parametrize("fin", [True, False])
    @pytest.mark.parametrize("chop", CHOPS)
    def test_6455_5_4_a_continuation_of_nothing_is_1002(self, plain, fin, body, chop):
        """Cases 5.9 to 5.14."""
        with opened(plain) as socket:
            sends(chop)(socket, frame(CONTINUATION, body, fin=fin) + frame(TEXT, b"hello"))
            socket.expect_close(1002)

    @pytest.mark.parametrize("fin", [True, False])
    def test_6455_5_4_a_continuation_after_a_whole_message_is_1002(self, plain, fin):
        """Case 5.15 to 5.17."""
        with opened(plain) as socket:
            socket.send(
                b"".join(fragments(TEXT, b"fragment1fragment2", 9))
                + frame(CONTINUATION, b"fragment3", fin=fin)
                + frame(TEXT, b"fragment4")
            )
            assert socket.message() == (TEXT, b"fragment1fragment2")
            socket.expect_close(1002)

    @pytest.mark.parametrize("first", [TEXT, BINARY])
    @pytest.mark.parametrize("second", [TEXT, BINARY])
    @pytest.mark.parametrize("fin", [True, False])
    @pytest.mark.parametrize("chop", CHOPS)
    def test_6455_5_4_a_new_message_inside_another_is_1002(self, plain, first, second, fin, chop):
        """Case 5.18."""
        with opened(plain) as socket:
            sends(chop)(socket, frame(first, b"fragment1", fin=False) + frame(second, b"fragment2", fin=fin))
            socket.expect_close(1002)

    def test_6455_5_4_a_message_may_stay_unfinished_for_pings_without_end(self, plain):
        with opened(plain) as socket:
            socket.send_frame(TEXT, b"a", fin=False)
            for number in range(200):
                socket.send_frame(PING, b"%d" % number)
                socket.expect_pong(b"%d" % number)
            socket.send_frame(CONTINUATION, b"b")
            assert socket.message() == (TEXT, b"ab")

    def test_6455_5_4_many_fragmented_messages_follow_each_other(self, plain):
        with opened(plain) as socket:
            for number in range(300):
                socket.echo(BINARY, b"%05d" % number * 3, fragment=1 + number % 7)

    @pytest.mark.parametrize("cut", range(1, 40))
    def test_6455_5_4_cut_anywhere_with_a_ping_inside(self, plain, cut):
        data = frame(TEXT, b"one", fin=False) + frame(PING, b"two") + frame(CONTINUATION, b"three")
        with opened(plain) as socket:
            socket.send(data[:cut]).send(data[cut:])
            socket.expect_pong(b"two")
            assert socket.message() == (TEXT, b"onethree")

    def test_6455_7_1_5_a_close_between_fragments_is_answered(self, plain):
        with opened(plain) as socket:
            socket.send(
                frame(TEXT, b"one", fin=False) + frame(CLOSE, close_payload(1000)) + frame(CONTINUATION, b"two")
            )
            socket.expect_close(1000)
