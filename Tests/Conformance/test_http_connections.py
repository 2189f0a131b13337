"""Connection management, RFC 9112 §9; requests in pieces; time-outs, RFC 9110 §15.5.9."""

import threading
import time

import pytest
from wire.http import CANARY, Closed, HTTPConnection, chunked, exchange, get, post, refused


def persists(gateway, data, method="GET", version="1.1"):
    """Whether the connection goes on after the request, and that the answer says what happens."""
    with HTTPConnection(gateway) as connection:
        connection.send(data)
        response = connection.final(method, version)
        if response.keeps_connection and (version == "1.1" or "keep-alive" in response.options()):
            connection.send(CANARY)
            assert connection.final("POST").body == b"canary-answered"
            return True
        connection.expect_end()
        assert version == "1.0" or "close" in response.options(), "RFC 9112 9.6: closed without saying so"
        return False


class TestPersistence:
    """RFC 9112 §9.3, §9.6."""

    def test_9112_9_3_http_1_1_persists(self, plain):
        assert persists(plain, get())

    @pytest.mark.parametrize(
        "value", ["keep-alive", "Keep-Alive", "foo", "foo, bar", "", ",", "keep-alive, foo", "Upgrade", "TE"]
    )
    def test_9112_9_3_whatever_else_connection_says(self, plain, value):
        assert persists(plain, get(fields=f"Connection: {value}\r\n"))

    @pytest.mark.parametrize(
        "fields",
        [
            "Connection: close",
            "Connection: Close",
            "Connection: CLOSE",
            "Connection: foo, close",
            "Connection: close, foo",
            "Connection:close",
            "Connection: keep-alive, close",
            "Connection: close, keep-alive",
            "Connection: ,close,",
            "Connection:\tclose\t",
            "Connection: foo\r\nConnection: close",
            "Connection: close\r\nConnection: keep-alive",
            "connection: close",
        ],
    )
    def test_9112_9_6_close_is_honoured_and_echoed(self, plain, fields):
        assert not persists(plain, get(fields=fields + "\r\n"))

    @pytest.mark.parametrize("value", ["closed", "close-notify", "xclose", "not-close"])
    def test_9112_9_6_other_options_are_not_close(self, plain, value):
        assert persists(plain, get(fields=f"Connection: {value}\r\n"))

    @pytest.mark.parametrize("value", ["close;", "close x", '"close"', "a b", "cl\x0bose", "(close)"])
    def test_9110_7_6_1_options_are_tokens(self, plain, value):
        refused(plain, get(fields=f"Connection: {value}\r\n"), 400)

    def test_9112_9_3_http_1_0_does_not_persist(self, plain):
        assert not persists(plain, get(version="1.0"), version="1.0")

    @pytest.mark.parametrize("value", ["keep-alive", "Keep-Alive", "foo, keep-alive"])
    def test_9112_9_3_http_1_0_persists_when_asked(self, plain, value):
        assert persists(plain, get(version="1.0", fields=f"Connection: {value}\r\n"), version="1.0")

    def test_9112_9_3_http_1_0_with_both_does_not(self, plain):
        assert not persists(plain, get(version="1.0", fields="Connection: keep-alive, close\r\n"), version="1.0")

    @pytest.mark.parametrize(
        "data, method",
        [
            (get("/nowhere"), "GET"),
            (post(b"x", target="/nowhere"), "POST"),
            (get("/ws"), "GET"),
            (b"DELETE /echo HTTP/1.1\r\nHost: gateway.test\r\n\r\n", "DELETE"),
            (b"HEAD /nowhere HTTP/1.1\r\nHost: gateway.test\r\n\r\n", "HEAD"),
        ],
    )
    def test_9112_9_3_an_error_of_the_application_does_not_end_it(self, plain, data, method):
        assert persists(plain, data, method)

    @pytest.mark.parametrize(
        "data", [post(b"hello"), post(b""), chunked(b"5\r\nhello\r\n0\r\n\r\n"), chunked(b"0\r\n\r\n")]
    )
    def test_9112_9_3_bodies_do_not_end_it(self, plain, data):
        assert persists(plain, data, "POST")

    def test_9112_9_3_a_thousand_requests_on_one_connection(self, plain):
        with HTTPConnection(plain) as connection:
            for number in range(1000):
                connection.send(post(b"%d" % number))
                assert connection.final("POST").body == b"%d" % number


class TestPipelining:
    """RFC 9112 §9.3.2: in order, and none left out."""

    @pytest.mark.parametrize("count", [2, 10, 100, 1000])
    def test_9112_9_3_2_answers_come_in_order(self, plain, count):
        responses = exchange(plain, b"".join(post(b"%d" % n) for n in range(count)), "POST")
        assert [r.body for r in responses] == [b"%d" % n for n in range(count)]

    def test_9112_9_3_2_of_every_kind(self, plain):
        kinds = [
            (get(), "GET", 200),
            (get("/nowhere"), "GET", 404),
            (post(b"x" * 5000), "POST", 200),
            (b"HEAD /echo HTTP/1.1\r\nHost: gateway.test\r\n\r\n", "HEAD", 200),
            (chunked(b"3\r\nabc\r\n0\r\n\r\n"), "POST", 200),
            (b"DELETE /echo HTTP/1.1\r\nHost: gateway.test\r\n\r\n", "DELETE", 405),
            (post(b"y" * 3000, target="/nowhere"), "POST", 404),
            (get("/ws"), "GET", 426),
            (get("/readyz"), "GET", 200),
        ]
        with HTTPConnection(plain) as connection:
            connection.send(b"".join(data for data, _, _ in kinds) * 5)
            for _, method, status in kinds * 5:
                assert connection.final(method).status == status

    @pytest.mark.parametrize("size", [1, 7, 64, 1000])
    def test_9112_9_3_2_cut_anywhere(self, plain, size):
        data = b"".join(post(b"%d" % n) + chunked(b"2\r\nab\r\n0\r\n\r\n") for n in range(20))
        with HTTPConnection(plain) as connection:
            connection.send_in_pieces(data, size).half_close()
            bodies = [r.body for r in connection.responses_to_end("POST")]
        assert bodies == [body for n in range(20) for body in (b"%d" % n, b"ab")]

    def test_9112_9_3_2_more_than_any_buffer_holds(self, plain):
        """The client reads only after it has sent all: 2 MB each way, none lost."""
        count = 400
        body = bytes(5000)
        with HTTPConnection(plain) as connection:
            sender = threading.Thread(target=lambda: connection.send(post(body) * count).half_close())
            sender.start()
            connection.let_pile_up()
            responses = connection.responses_to_end("POST")
            sender.join()
        assert len(responses) == count and all(r.body == body for r in responses)

    def test_9112_9_6_the_last_one_says_close(self, plain):
        responses = exchange(plain, get() * 3 + get(fields="Connection: close\r\n") + get() * 3)
        assert len(responses) == 4 and [r.keeps_connection for r in responses] == [True, True, True, False]


class TestHalfClose:
    """RFC 9112 §9.6: what came whole before the client's FIN is answered."""

    @pytest.mark.parametrize(
        "data, method",
        [
            (get(), "GET"),
            (post(b"hello"), "POST"),
            (chunked(b"5\r\nhello\r\n0\r\n\r\n"), "POST"),
            (b"HEAD /echo HTTP/1.1\r\nHost: gateway.test\r\n\r\n", "HEAD"),
            (get(version="1.0"), "GET"),
        ],
    )
    def test_9112_9_6_a_request_before_the_end_is_answered(self, plain, data, method):
        responses = exchange(plain, data, method, "1.0" if b"HTTP/1.0" in data else "1.1")
        assert [r.status for r in responses] == [200]

    def test_9112_9_6_a_large_answer_after_the_end_is_whole(self, large):
        body = bytes(8 << 20)
        with HTTPConnection(large) as connection:
            sender = threading.Thread(target=lambda: connection.send(post(body)).half_close())
            sender.start()
            response = connection.final("POST")
            sender.join()
            assert len(response.body) == len(body)

    def test_9112_9_6_the_last_response_is_not_destroyed_by_unread_input(self, plain):
        """A close with unread bytes resets the connection, and a reset can overtake the response."""
        for _ in range(20):
            with HTTPConnection(plain) as connection:
                connection.send(b"BAD\r\n\r\n" + bytes(100_000))
                # The refusal is under way before anything of it is read: the reset that must not come has its chance.
                time.sleep(0.002)
                responses = connection.responses_to_end()
                assert [r.status for r in responses] == [400] and not connection.was_reset


REQUESTS = {
    "GET": (get("/echo?a=b", fields="Accept: */*\r\nX-Long: " + "v" * 40 + "\r\n"), b"ok"),
    "POST with a length": (post(b"hello world", "Content-Type: text/plain\r\nContent-Length: 11\r\n"), b"hello world"),
    "POST in chunks": (chunked(b"5;a=\"b\"\r\nhello\r\n06\r\n world\r\n0\r\nX-Trailer: y\r\n\r\n"), b"hello world"),
    "after an empty line": (b"\r\n" + get("http://gateway.test/echo"), b"ok"),
    "HTTP/1.0": (get(version="1.0", fields="Connection: keep-alive\r\n"), b"ok"),
}


class TestPieces:
    """A request means the same however TCP delivers it (RFC 9112 §2.2 reads octets, not segments)."""

    @pytest.mark.parametrize("name", REQUESTS)
    def test_9112_2_2_cut_once_at_every_byte(self, plain, name):
        data, body = REQUESTS[name]
        version = "1.0" if name == "HTTP/1.0" else "1.1"
        with HTTPConnection(plain) as connection:
            for cut in range(1, len(data)):
                connection.send(data[:cut])
                # Sent at once the two would arrive as one.
                time.sleep(0.0005)
                connection.send(data[cut:])
                response = connection.final("POST", version)
                assert (response.status, response.body) == (200, body), f"cut after {cut} bytes"

    @pytest.mark.parametrize("name", REQUESTS)
    def test_9112_2_2_one_byte_at_a_time(self, plain, name):
        data, body = REQUESTS[name]
        with HTTPConnection(plain) as connection:
            for octet in data:
                connection.send(bytes([octet]))
                time.sleep(0.0002)  # so that each arrives by itself
            assert connection.final("POST", "1.0" if name == "HTTP/1.0" else "1.1").body == body

    @pytest.mark.parametrize(
        "data",
        [
            b"GET /echo HTTP/1.1\nHost: a\n\n",
            b"GET /echo HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
            b"GET /echo HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
            b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\ng\r\n",
        ],
    )
    def test_9112_2_2_refused_all_the_same_byte_by_byte(self, plain, data):
        with HTTPConnection(plain) as connection:
            for octet in data:
                connection.send(bytes([octet]))
                time.sleep(0.0002)  # so that each arrives by itself
            try:
                responses = connection.responses_to_end("POST")
            except Closed:
                return  # after a head had been answered in good faith: cut short, and plainly so
            assert [r.status for r in responses] == [400]

    def test_9112_2_2_a_slow_drip_is_a_request(self, plain):
        with HTTPConnection(plain) as connection:
            for octet in get():
                connection.send(bytes([octet]))
                time.sleep(0.01)  # a slow client is the subject
            assert connection.final().body == b"ok"


class TestTimeouts:
    """RFC 9112 §9.5, RFC 9110 §15.5.9. This gateway waits 0.7 s for each."""

    def test_9110_15_5_9_a_head_that_does_not_end_is_408(self, small):
        with HTTPConnection(small) as connection:
            connection.send(get()[:-2])
            assert [r.status for r in connection.responses_to_end()] == [408]

    def test_9110_15_5_9_a_drip_does_not_extend_it(self, small):
        with HTTPConnection(small) as connection:
            start = time.monotonic()
            connection.socket.settimeout(0.05)
            try:
                while time.monotonic() - start < 5:
                    connection.send(b"x")
                    try:
                        data = connection.socket.recv(65536)
                    except TimeoutError:
                        continue
                    except ConnectionResetError:
                        break
                    connection.buffer += data
                    if not data:
                        break
            finally:
                connection.socket.settimeout(5)
            assert time.monotonic() - start < 3
            assert connection.final().status in (408, 501, 400)

    def test_9110_15_5_9_a_body_without_progress_ends_in_408_or_a_visible_break(self, small):
        with HTTPConnection(small) as connection:
            connection.send(post(b"x", "Content-Length: 10\r\n"))
            try:
                assert [r.status for r in connection.responses_to_end("POST")] == [408]
            except Closed:
                pass

    def test_9112_9_5_an_idle_connection_is_closed_in_silence(self, small):
        with HTTPConnection(small) as connection:
            connection.send(get())
            assert connection.final().body == b"ok"
            connection.expect_end()

    def test_9112_9_5_a_connection_that_never_spoke_is_closed_in_silence(self, small):
        with HTTPConnection(small) as connection:
            connection.expect_end()

    def test_9112_9_5_a_slow_body_that_makes_progress_is_not_timed_out(self, small):
        with HTTPConnection(small) as connection:
            connection.send(post(b"", "Content-Length: 12\r\n"))
            for _ in range(12):
                time.sleep(0.1)  # a slow client is the subject: more than the time-out in all, less in each pause
                connection.send(b"x")
            assert connection.final("POST").body == b"x" * 12
