"""Methods, status codes and fields that a server must get right whatever it serves: RFC 9110."""

import time

import pytest
from wire.http import CANARY, HTTPConnection, accepted, chunked, exchange, get, post, refused

#: All that opens a WebSocket but the Connection option.
WEBSOCKET = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"]


def request(method, target="/echo", fields=""):
    return f"{method} {target} HTTP/1.1\r\nHost: gateway.test\r\n{fields}\r\n".encode()


def stable(response):
    """The fields that do not differ from one answer to the next."""
    return {(k.lower(), v) for k, v in response.fields if k.lower() not in ("date", "x-request-id")}


class TestMethods:
    """RFC 9110 §9."""

    @pytest.mark.parametrize("target", ["/echo", "/livez", "/readyz", "/health"])
    def test_9110_9_1_get_and_head_are_supported(self, plain, target):
        assert accepted(plain, request("GET", target)).status == 200
        assert accepted(plain, request("HEAD", target), "HEAD").status == 200

    @pytest.mark.parametrize("target", ["/echo", "/livez", "/health", "/nowhere", "/ws"])
    def test_9110_9_3_2_head_is_get_without_content(self, plain, target):
        with HTTPConnection(plain) as connection:
            connection.send(request("GET", target) + request("HEAD", target) + CANARY)
            first, second = connection.final("GET"), connection.final("HEAD")
            assert first.status == second.status
            assert stable(first) == stable(second)
            assert connection.final("POST").body == b"canary-answered", "content after a response to HEAD"

    def test_9110_9_3_2_head_in_http_1_0(self, plain):
        responses = exchange(plain, b"HEAD /echo HTTP/1.0\r\n\r\n", "HEAD", "1.0")
        assert [r.status for r in responses] == [200]

    @pytest.mark.parametrize(
        "data",
        [
            b"HEAD /echo HTTP/1.1\r\n\r\n",
            b"HEAD /echo HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
            b"HEAD /ec ho HTTP/1.1\r\nHost: a\r\n\r\n",
            b"HEAD /echo HTTP/3.0\r\nHost: a\r\n\r\n",
            b"HEAD /echo HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        ],
    )
    def test_9110_9_3_2_no_content_even_when_refused(self, plain, data):
        responses = exchange(plain, data, "HEAD")
        assert len(responses) == 1 and responses[0].status in (400, 505)

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "TRACE", "PATCH", "OPTIONS"])
    def test_9110_15_5_6_a_known_method_that_is_not_served_is_405_with_allow(self, plain, method):
        response = exchange(
            plain, request(method, fields="Content-Length: 0\r\n" if method != "TRACE" else ""), method
        )[0]
        if method == "OPTIONS" and response.status in (200, 204):
            return
        assert response.status == 405
        allowed = response.options("allow")
        assert {"get", "head", "post"} <= set(allowed) and method.lower() not in allowed

    def test_9110_10_2_1_allow_lists_what_works(self, plain):
        allowed = exchange(plain, request("DELETE", "/livez"))[0].options("allow")
        assert allowed and set(allowed) <= {"get", "head", "options"}
        for method in allowed:
            assert exchange(plain, request(method.upper(), "/livez"), method.upper())[0].status in (200, 204)

    @pytest.mark.parametrize("method", ["BREW", "PROPFIND", "LOCK", "SEARCH", "QUERY", "X"])
    @pytest.mark.parametrize("target", ["/echo", "/livez"])
    def test_9110_9_1_an_unrecognized_method_is_501(self, plain, method, target):
        assert exchange(plain, request(method, target), method)[0].status == 501

    def test_9110_9_1_methods_are_case_sensitive(self, plain):
        assert exchange(plain, request("get"))[0].status in (400, 405, 501)

    def test_9110_9_3_8_trace_reflects_nothing(self, plain):
        response = exchange(
            plain, request("TRACE", fields="Authorization: Bearer secret-word\r\nCookie: a=secret-word\r\n"), "TRACE"
        )[0]
        assert response.status in (405, 501) and b"secret-word" not in response.body

    @pytest.mark.parametrize("method", METHODS)
    def test_9110_15_5_5_nothing_at_a_path_is_404_or_501(self, plain, method):
        assert exchange(plain, request(method, "/nowhere", "Content-Length: 0\r\n"), method)[0].status in (404, 501)


class TestExpect:
    """RFC 9110 §10.1.1."""

    def expecting(self, length=5, target="/echo", version="1.1", value="100-continue"):
        return post(b"", f"Content-Length: {length}\r\nExpect: {value}\r\n", target, version)

    @pytest.mark.parametrize("value", ["100-continue", "100-Continue", "100-CONTINUE"])
    def test_9110_10_1_1_the_client_is_invited(self, plain, value):
        with HTTPConnection(plain) as connection:
            connection.send(self.expecting(value=value))
            assert connection.response("POST").status == 100
            connection.send(b"hello" + CANARY)
            assert connection.response("POST").body == b"hello"
            assert connection.final("POST").body == b"canary-answered"

    def test_9110_10_1_1_chunked_too(self, plain):
        with HTTPConnection(plain) as connection:
            connection.send(chunked(b"", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"))
            assert connection.response("POST").status == 100
            connection.send(b"5\r\nhello\r\n0\r\n\r\n")
            assert connection.response("POST").body == b"hello"

    def test_9110_10_1_1_a_final_status_comes_instead_of_the_invitation(self, plain):
        with HTTPConnection(plain) as connection:
            connection.send(self.expecting(target="/nowhere"))
            response = connection.response("POST")
            assert response.status == 404
            assert not response.keeps_connection
            connection.expect_end()

    @pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
    def test_9110_10_1_1_the_answer_does_not_wait_for_a_body_that_nobody_reads(self, plain, method):
        with HTTPConnection(plain) as connection:
            connection.send(request(method, fields="Content-Length: 5\r\nExpect: 100-continue\r\n"))
            assert connection.response(method).status in (200, 405)

    def test_9110_10_1_1_without_a_body_there_is_no_invitation(self, plain):
        with HTTPConnection(plain) as connection:
            connection.send(get(fields="Expect: 100-continue\r\n"))
            assert connection.response().status == 200

    def test_9110_10_1_1_http_1_0_is_not_invited(self, plain):
        with HTTPConnection(plain) as connection:
            connection.send(self.expecting(version="1.0"))
            assert connection.is_silent(0.1) or connection.buffer[:12] != b"HTTP/1.1 100"
            connection.send(b"hello")
            assert connection.response("POST", "1.0").body == b"hello"

    def test_9110_10_1_1_a_body_that_is_there_may_go_without(self, plain):
        with HTTPConnection(plain) as connection:
            connection.send(self.expecting() + b"hello")
            assert connection.final("POST").body == b"hello"

    @pytest.mark.parametrize("value", ["200-ok", "x", "100-continue, x", "100continue", "100", ""])
    def test_9110_10_1_1_another_expectation_is_417_or_ignored(self, plain, value):
        with HTTPConnection(plain) as connection:
            connection.send(self.expecting(value=value) + b"hello")
            assert connection.final("POST").status in (417, 200, 400)

    def test_9110_15_5_18_an_unknown_expectation_is_417(self, plain):
        refused(plain, get(fields="Expect: 200-maybe\r\n"), 417)

    def test_9110_15_5_14_too_large_a_body_is_not_invited(self, small):
        with HTTPConnection(small) as connection:
            connection.send(self.expecting(length=10_000_000))
            assert connection.response("POST").status == 413


class TestUpgrade:
    """RFC 9110 §7.8."""

    @pytest.mark.parametrize(
        "protocol",
        [
            "foo",
            "h2c",
            "HTTP/2.0",
            "HTTP/3.0, h2c",
            "TLS/1.0",
            "websocket/13",
            "web-socket",
            "websockets",
            "foo/1, bar/2",
        ],
    )
    def test_9110_7_8_an_unknown_protocol_is_ignored(self, plain, protocol):
        response = accepted(
            plain,
            get(fields=f"Connection: Upgrade\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"),
        )
        assert response.body == b"ok"

    def test_9110_7_8_upgrade_without_the_connection_option_is_ignored(self, plain):
        assert accepted(plain, get(fields=WEBSOCKET)).body == b"ok"

    def test_9110_7_8_upgrade_in_http_1_0_is_ignored(self, plain):
        fields = "Connection: Upgrade\r\n" + WEBSOCKET
        assert accepted(plain, get(version="1.0", fields=fields), request_version="1.0").body == b"ok"

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    def test_9110_7_8_a_websocket_is_opened_with_get_only(self, plain, method):
        fields = "Connection: Upgrade\r\nContent-Length: 0\r\n" + WEBSOCKET
        assert exchange(plain, request(method, fields=fields), method)[0].status != 101

    @pytest.mark.parametrize("target", ["/ws", "/"])
    def test_9110_15_5_22_a_path_that_needs_an_upgrade_says_which(self, plain, target):
        response = exchange(plain, get(target))[0]
        assert response.status == 426
        assert "websocket" in response.options("upgrade") and "upgrade" in response.options()

    @pytest.mark.parametrize("value", ["a b", "web socket", "/13", "websocket/", "a//b", "\"websocket\""])
    def test_9110_7_8_a_malformed_list_is_refused_or_ignored(self, plain, value):
        status = exchange(plain, get(fields=f"Connection: Upgrade\r\nUpgrade: {value}\r\n"))[0].status
        assert status in (200, 400)


class TestResponses:
    """RFC 9110 §6.6.1, §8, §11.6, §15; every response of the suite is held against the rest as it is read."""

    @pytest.mark.parametrize("target", ["/echo", "/nowhere", "/livez", "/ws"])
    def test_9110_6_6_1_date_goes_with_time(self, plain, target):
        first = exchange(plain, get(target))[0].get("date")
        deadline = time.monotonic() + 5
        while exchange(plain, get(target))[0].get("date") == first:
            assert time.monotonic() < deadline, f"still {first}"
            time.sleep(0.05)

    @pytest.mark.parametrize("data", [get("/nowhere"), b"BAD\r\n\r\n", get(host=None), request("DELETE"), get("/ws")])
    def test_9110_15_5_an_error_explains_itself(self, plain, data):
        response = exchange(plain, data)[0]
        assert (
            response.get("content-type") == "application/json"
            and b'"code"' in response.body
            and b'"message"' in response.body
        )

    @pytest.mark.parametrize("fields", ["", "Authorization: Bearer nonsense\r\n", "Authorization: Basic YTpi\r\n"])
    def test_9110_11_6_1_a_401_says_how_to_authenticate(self, guarded, fields):
        data = get("/ws", fields="Connection: Upgrade\r\n" + WEBSOCKET + fields)
        response = exchange(guarded, data)[0]
        assert response.status == 401 and response.get("www-authenticate", "").lower().startswith("bearer")

    @pytest.mark.parametrize(
        "fields",
        [
            "Range: bytes=0-0\r\n",
            "Range: bytes=5-1\r\n",
            "Range: lines=1-2\r\n",
            "Range: bytes=0-0,1-1\r\n",
            "If-Range: \"a\"\r\n",
            "Accept: image/png\r\n",
            "Accept-Encoding: identity;q=0\r\n",
            "If-None-Match: \"a\"\r\n",
            "If-Modified-Since: nonsense\r\n",
            "TE: gzip, trailers;q=0.5\r\n",
            "Max-Forwards: 0\r\n",
            "Trailer: X\r\n",
            "Via: 1.0 a, 1.1 b\r\n",
            "Content-Type: text/plain\r\n",
            "Priority: u=1\r\n",
            "Forwarded: for=\"[::1]\"\r\n",
        ],
    )
    def test_9110_fields_that_may_be_ignored_do_no_harm(self, plain, fields):
        response = accepted(plain, get(fields=fields))
        assert response.body == b"ok"

    def test_9110_14_2_range_is_for_get_only(self, plain):
        assert accepted(plain, post(b"hello", "Content-Length: 5\r\nRange: bytes=0-0\r\n"), "POST").body == b"hello"

    @pytest.mark.parametrize("coding", ["gzip", "br", "x-unknown"])
    def test_9110_8_4_content_coding_is_end_to_end(self, plain, coding):
        assert (
            accepted(plain, post(b"\x1f\x8b", f"Content-Length: 2\r\nContent-Encoding: {coding}\r\n"), "POST").body
            == b"\x1f\x8b"
        )
