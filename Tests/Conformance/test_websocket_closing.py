"""The closing handshake: RFC 6455 §5.5.1, §7; section 7 of the public suite."""

import threading
import time

import pytest
from wire.websocket import BINARY, CLOSE, CLOSE_CODES, CONTINUATION, PING, TEXT, close_payload, frame, opened

VALID = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3001, 3999, 4000, 4401, 4999]
INVALID = [
    0,
    1,
    2,
    125,
    999,
    1004,
    1005,
    1006,
    1015,
    1016,
    1017,
    1100,
    1999,
    2000,
    2999,
    5000,
    5001,
    9999,
    32_768,
    65_535,
]


class TestCodes:
    @pytest.mark.parametrize("code", VALID)
    def test_6455_5_5_1_a_valid_code_is_echoed(self, plain, code):
        with opened(plain) as socket:
            socket.send_frame(CLOSE, close_payload(code))
            socket.expect_close(code)

    @pytest.mark.parametrize("code", VALID)
    def test_6455_5_5_1_with_a_reason(self, plain, code):
        with opened(plain) as socket:
            socket.send_frame(CLOSE, close_payload(code, "weil es so ist: ß".encode()))
            socket.expect_close(code)

    @pytest.mark.parametrize("code", INVALID)
    @pytest.mark.parametrize("reason", [b"", b"because"])
    def test_6455_7_4_a_code_that_must_not_be_sent_is_1002(self, plain, code, reason):
        with opened(plain) as socket:
            socket.send_frame(CLOSE, close_payload(code, reason))
            socket.expect_close(1002)

    @pytest.mark.full
    @pytest.mark.parametrize("start", range(0, 5400, 200))
    def test_6455_7_4_every_code(self, plain, start):
        for code in range(start, start + 200):
            with opened(plain) as socket:
                socket.send_frame(CLOSE, close_payload(code))
                socket.expect_close(code if code in CLOSE_CODES else 1002)

    def test_6455_5_5_1_a_close_without_a_code(self, plain):
        with opened(plain) as socket:
            socket.send_frame(CLOSE)
            assert socket.expect_close(None, 1000, 1005).payload in (b"", close_payload(1000))

    @pytest.mark.parametrize("octet", [0, 3, 0x7F, 0xFF])
    def test_6455_5_5_1_a_payload_of_one_byte_is_1002(self, plain, octet):
        """Case 7.3.2."""
        with opened(plain) as socket:
            socket.send_frame(CLOSE, bytes([octet]))
            socket.expect_close(1002)


class TestReasons:
    @pytest.mark.parametrize("size", [0, 1, 2, 50, 121, 122, 123])
    def test_6455_5_5_1_up_to_123_bytes(self, plain, size):
        with opened(plain) as socket:
            socket.send_frame(CLOSE, close_payload(1000, b"*" * size))
            socket.expect_close(1000)

    @pytest.mark.parametrize("size", [124, 125, 1000, 65_536])
    def test_6455_5_5_longer_is_1002(self, plain, size):
        with opened(plain) as socket:
            socket.send_frame(CLOSE, close_payload(1000, b"*" * size))
            socket.expect_close(1002)

    @pytest.mark.parametrize(
        "reason", [b"\xff", b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80", b"\xc3", b"ok\xc0\xaf"]
    )
    def test_6455_8_1_a_reason_that_is_not_utf_8_is_1007(self, plain, reason):
        """Case 7.5.1; the public suite takes 1002 as well."""
        with opened(plain) as socket:
            socket.send_frame(CLOSE, close_payload(1000, reason))
            socket.expect_close(1007, 1002)


class TestAfterwards:
    """RFC 6455 §5.5.1: after a close frame nothing counts, and nothing is sent."""

    @pytest.mark.parametrize(
        "data",
        [
            frame(TEXT, b"hello"),
            frame(BINARY, b"hello"),
            frame(PING, b"hello"),
            frame(CLOSE, close_payload(1001)),
            frame(TEXT, b"\xff"),
            frame(TEXT, b"x", rsv=7),
            frame(3, b"x"),
            frame(CONTINUATION, b"x"),
            frame(TEXT, b"x", key=None),
            b"\xff" * 100,
            frame(TEXT, b"a" * 100_000),
        ],
    )
    def test_6455_5_5_1_what_follows_a_close_is_ignored(self, plain, data):
        with opened(plain) as socket:
            socket.send(frame(CLOSE, close_payload(1000)) + data)
            socket.expect_close(1000)

    @pytest.mark.parametrize(
        "data", [frame(TEXT, b"hello"), frame(PING, b"hello"), frame(CLOSE, close_payload(1000)), b"\0" * 1000]
    )
    def test_6455_7_1_7_what_follows_a_violation_is_ignored(self, plain, data):
        with opened(plain) as socket:
            socket.send(frame(3, b"x") + data)
            socket.expect_close(1002)

    def test_6455_5_5_1_a_second_close_is_not_answered(self, plain):
        with opened(plain) as socket:
            socket.send(frame(CLOSE, close_payload(1000)) * 10)
            socket.expect_close(1000)

    def test_6455_7_1_2_what_came_before_is_answered_before(self, plain):
        with opened(plain) as socket:
            socket.send(b"".join(frame(TEXT, b"%d" % n) for n in range(100)) + frame(CLOSE, close_payload(1000)))
            assert [socket.message()[1] for _ in range(100)] == [b"%d" % n for n in range(100)]
            socket.expect_close(1000)

    @pytest.mark.parametrize("chop", [1, 2, 3])
    def test_6455_5_5_1_a_close_in_pieces(self, plain, chop):
        with opened(plain) as socket:
            socket.send_in_pieces(frame(CLOSE, close_payload(1000, b"bye")), chop)
            socket.expect_close(1000)

    def test_6455_7_1_5_while_a_message_is_unfinished(self, plain):
        with opened(plain) as socket:
            socket.send_frame(TEXT, b"never finished", fin=False).send_frame(CLOSE, close_payload(1001))
            socket.expect_close(1001)


class TestWhileSending:
    """Case 7.1.6 and its kin: a close while the gateway still has much to send."""

    @pytest.mark.parametrize("size", [262_144, 1 << 20, 16 << 20])
    def test_6455_7_1_4_what_is_on_its_way_arrives_whole_before_the_close(self, large, size):
        body = bytes(size)
        with opened(large) as socket:
            sender = threading.Thread(
                target=lambda: socket.send(frame(BINARY, body, key=b"\0\0\0\0") + frame(CLOSE, close_payload(1000)))
            )
            sender.start()
            socket.let_pile_up()
            kind, data = socket.message()
            sender.join()
            assert (kind, len(data)) == (BINARY, size) and data == body
            socket.expect_close(1000)

    def test_6455_7_1_4_many_messages_to_a_reader_that_waits(self, large):
        count, body = 200, b"x" * 20_000
        with opened(large, receive_buffer=8192) as socket:
            data = frame(TEXT, body) * count + frame(CLOSE, close_payload(1000))
            sender = threading.Thread(target=lambda: socket.send(data))
            sender.start()
            socket.let_pile_up()
            for _ in range(count):
                assert socket.message() == (TEXT, body)
            sender.join()
            socket.expect_close(1000)


class TestConnection:
    """RFC 6455 §7.1.1: the server closes the TCP connection first."""

    def test_6455_7_1_1_the_server_does_not_wait_for_the_client(self, plain):
        with opened(plain) as socket:
            start = time.monotonic()
            socket.send_frame(CLOSE, close_payload(1000))
            socket.expect_close(1000)
            assert time.monotonic() - start < 2 and not socket.was_reset

    @pytest.mark.parametrize(
        "bad",
        [
            frame(3, b""),
            frame(TEXT, b"\xff"),
            frame(TEXT, b"", rsv=1),
            frame(TEXT, b"", key=None),
            frame(BINARY, b"", length=1 << 40),
            frame(CONTINUATION, b""),
        ],
    )
    def test_6455_7_1_7_nor_after_failing_it(self, plain, bad):
        with opened(plain) as socket:
            start = time.monotonic()
            socket.send(bad)
            socket.expect_close(1002, 1007, 1009)
            assert time.monotonic() - start < 2 and not socket.was_reset

    @pytest.mark.parametrize("size", [1000, 100_000, 900_000])
    def test_6455_7_1_1_the_close_frame_survives_what_the_client_was_still_sending(self, plain, size):
        """Unread bytes at the close would reset the connection, and the close frame with it."""
        for _ in range(5):
            with opened(plain) as socket:
                sender = threading.Thread(target=lambda s=socket: s.send(frame(3, b"") + bytes(size)))
                sender.start()
                # So that the close comes in the middle of the sending, more or less: any moment must do.
                time.sleep(0.005)
                socket.expect_close(1002)
                sender.join()

    def test_6455_7_1_5_a_client_that_just_leaves(self, plain):
        for _ in range(50):
            with opened(plain) as socket:
                socket.send_frame(TEXT, b"half", fin=False)
        with opened(plain) as socket:
            socket.echo(TEXT, b"still here")

    def test_6455_7_1_5_a_client_that_only_half_closes(self, plain):
        with opened(plain) as socket:
            socket.send_frame(TEXT, b"hello").half_close()
            assert socket.message() == (TEXT, b"hello")
            rest = socket.read_to_end()
            assert rest == b"" or rest[0] == 0x88
