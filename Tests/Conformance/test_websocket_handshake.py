"""The opening handshake: RFC 6455 §4.2, §9.1, §11.3."""

import base64

import pytest
from wire.http import CANARY, HTTPConnection, exchange, get
from wire.websocket import TEXT, WebSocket, check_answer, handshake, opened

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def shake(gateway, data):
    """The answer, whatever it is."""
    with HTTPConnection(gateway) as connection:
        connection.send(data)
        return connection.final()


def welcome(gateway, data, key=KEY, offered=None):
    with HTTPConnection(gateway) as connection:
        connection.send(data)
        answer = connection.response()
        check_answer(answer, key, offered)
        return answer


def turned_away(gateway, data, *statuses):
    """Refused with one of `statuses`, in a way that a person can act on; and no frame is ever spoken."""
    answer = shake(gateway, data)
    assert answer.status in statuses, f"{answer.status} {answer.body[:300]!r}"
    assert b'"message"' in answer.body
    return answer


class TestAccepted:
    def test_6455_1_3_the_example_of_the_rfc(self, plain):
        answer = welcome(plain, handshake(KEY))
        assert answer.get("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

    def test_6455_4_2_2_101_has_no_body_and_no_framing(self, plain):
        answer = welcome(plain, handshake())
        assert answer.get("content-length") is None and answer.get("transfer-encoding") is None

    @pytest.mark.parametrize("path", ["/ws", "/", "/echo", "/ws?", "/ws?a=b", "/%77s"])
    def test_6455_4_2_1_the_resource_name(self, plain, path):
        with opened(plain, path=path) as socket:
            socket.echo(TEXT, b"hello")

    @pytest.mark.parametrize(
        "value",
        [
            "websocket",
            "WebSocket",
            "WEBSOCKET",
            "websocket, foo",
            "foo, websocket",
            "h2c,websocket",
            " websocket",
            "foo/1, websocket",
        ],
    )
    def test_6455_4_2_1_upgrade_lists_websocket_in_any_case(self, plain, value):
        welcome(plain, handshake(upgrade=value))

    @pytest.mark.parametrize(
        "value",
        [
            "Upgrade",
            "upgrade",
            "UPGRADE",
            "keep-alive, Upgrade",
            "Upgrade, keep-alive",
            "keep-alive,Upgrade",
            "foo , upgrade , bar",
        ],
    )
    def test_6455_4_2_1_connection_lists_upgrade_in_any_case(self, plain, value):
        welcome(plain, handshake(connection=value))

    def test_6455_4_2_1_over_several_lines(self, plain):
        welcome(
            plain,
            handshake(upgrade="foo", connection="keep-alive", fields="Upgrade: websocket\r\nConnection: upgrade\r\n"),
        )

    def test_6455_4_2_1_an_absolute_request_uri(self, plain):
        welcome(plain, handshake(path="http://gateway.test/ws"))

    @pytest.mark.parametrize("key", [base64.b64encode(bytes([n]) * 16).decode() for n in (0, 1, 0x55, 0xFB, 0xFF)])
    def test_6455_4_2_2_accept_follows_the_key(self, plain, key):
        welcome(plain, handshake(key), key)

    def test_6455_4_2_2_a_hundred_random_keys(self, plain):
        for _ in range(100):
            with opened(plain):
                pass

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 100])
    def test_6455_4_in_pieces(self, plain, size):
        with opened(plain, pieces=size, extensions="permessage-deflate") as socket:
            socket.echo(TEXT, b"hello")

    def test_6455_4_frames_may_come_with_the_request(self, plain):
        """A client should wait for the answer; nothing is lost if it does not."""
        early = b"".join(bytes([0x81, 0x85, 0, 0, 0, 0]) + b"%05d" % n for n in range(50))
        with opened(plain, early=early) as socket:
            assert [socket.message()[1] for _ in range(50)] == [b"%05d" % n for n in range(50)]
            socket.echo(TEXT, b"after")

    @pytest.mark.parametrize("cut", [1, 5, 6, 8])
    def test_6455_4_a_frame_may_come_half_with_the_request(self, plain, cut):
        data = bytes([0x81, 0x85, 0, 0, 0, 0]) + b"hello"
        with opened(plain, early=data[:cut]) as socket:
            socket.send(data[cut:])
            assert socket.message() == (TEXT, b"hello")

    def test_6455_4_after_requests_on_the_same_connection(self, plain):
        with HTTPConnection(plain) as connection:
            connection.send(get() + CANARY + handshake())
            assert connection.final().body == b"ok"
            assert connection.final().body == b"canary-answered"
            check_answer(connection.response(), KEY, None)

    @pytest.mark.parametrize(
        "fields",
        [
            "Cookie: a=b\r\n",
            "User-Agent: x\r\n",
            "Origin: https://page.example\r\n",
            "Origin: null\r\n",
            "X-Any: y\r\n" * 50,
            "Content-Length: 0\r\n",
        ],
    )
    def test_6455_4_2_1_other_fields_do_no_harm(self, plain, fields):
        welcome(plain, handshake(fields=fields))


class TestRefused:
    """RFC 6455 §4.2.1: what is missing or malformed gets an HTTP error, never a 101."""

    def test_6455_4_2_1_without_host(self, plain):
        turned_away(plain, handshake(without=["host"]), 400)

    def test_6455_4_2_1_two_hosts(self, plain):
        turned_away(plain, handshake(fields="Host: other.test\r\n"), 400)

    def test_6455_4_2_1_without_upgrade(self, plain):
        turned_away(plain, handshake(without=["upgrade"]), 426, 400)

    @pytest.mark.parametrize(
        "value", ["foo", "websocket/13", "websockets", "web socket", "", "websocket;q=1", "h2c", "\"websocket\""]
    )
    def test_6455_4_2_1_upgrade_without_websocket(self, plain, value):
        turned_away(plain, handshake(upgrade=value), 426, 400)

    def test_6455_4_2_1_without_connection(self, plain):
        turned_away(plain, handshake(without=["connection"]), 426, 400)

    @pytest.mark.parametrize("value", ["keep-alive", "close", "", "upgraded", "not upgrade", "up grade"])
    def test_6455_4_2_1_connection_without_upgrade(self, plain, value):
        turned_away(plain, handshake(connection=value), 426, 400)

    def test_6455_4_2_1_without_key(self, plain):
        turned_away(plain, handshake(without=["key"]), 400)

    @pytest.mark.parametrize(
        "key",
        [
            "",
            " ",
            "x",
            "AAAA",
            base64.b64encode(bytes(15)).decode(),
            base64.b64encode(bytes(17)).decode(),
            base64.b64encode(bytes(12)).decode(),
            base64.b64encode(bytes(32)).decode(),
            KEY[:-1],
            KEY[:-2],
            KEY + "=",
            KEY + "A",
            KEY.replace("=", ""),
            "dGhlIHNhbXBsZSBub25jZ===",
            "=" * 24,
            "A" * 24,
            "dGhlIHNhbXBsZSBub25j ZQ==",
            "dGhlIHNhbXBsZSBub25jZ!==",
            "dGhlIHNhbXBsZSBub25jZ-==",
            "dGhlIHNhbXBsZSBub25jZ_==",
            '"' + KEY + '"',
            KEY + ", " + KEY,
            KEY * 2,
            "the sample nonce",
            "\xe9" * 24,
        ],
    )
    def test_6455_4_2_1_the_key_is_sixteen_bytes_in_base64(self, plain, key):
        turned_away(plain, handshake(key), 400)

    @pytest.mark.parametrize("second", [KEY, base64.b64encode(bytes(16)).decode(), ""])
    def test_6455_11_3_1_two_keys(self, plain, second):
        turned_away(plain, handshake(fields=f"Sec-WebSocket-Key: {second}\r\n"), 400)

    def test_6455_4_2_1_without_version(self, plain):
        turned_away(plain, handshake(without=["version"]), 426, 400)

    @pytest.mark.parametrize(
        "version",
        [
            "0",
            "1",
            "7",
            "8",
            "12",
            "14",
            "25",
            "255",
            "256",
            "-13",
            "+13",
            "013",
            "13.0",
            "0x0d",
            "13, 8",
            "8, 13",
            "13,13",
            "",
            "x",
            "1 3",
            "13x",
            "\"13\"",
        ],
    )
    def test_6455_4_4_another_version_is_told_which_one_is_spoken(self, plain, version):
        answer = turned_away(plain, handshake(version=version), 426, 400)
        if version.isdigit():
            assert answer.status == 426
        if answer.status == 426:
            assert answer.all("sec-websocket-version") == ["13"]

    @pytest.mark.parametrize("second", ["13", "8", ""])
    def test_6455_11_3_5_two_versions(self, plain, second):
        turned_away(plain, handshake(fields=f"Sec-WebSocket-Version: {second}\r\n"), 426, 400)

    def test_6455_4_2_1_http_1_0(self, plain):
        turned_away(plain, handshake().replace(b"HTTP/1.1", b"HTTP/1.0"), 426, 400, 505)

    @pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH"])
    def test_6455_4_2_1_another_method(self, plain, method):
        with HTTPConnection(plain) as connection:
            connection.send(handshake(fields="Content-Length: 0\r\n").replace(b"GET", method.encode(), 1))
            assert connection.final(method).status in (400, 405, 426, 501)

    @pytest.mark.parametrize(
        "fields, body",
        [("Content-Length: 5\r\n", b"hello"), ("Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n")],
    )
    def test_6455_4_2_1_with_a_body(self, plain, fields, body):
        """Frames begin where the request ends, and a body would be in between."""
        with HTTPConnection(plain) as connection:
            connection.send(handshake(fields=fields) + body)
            assert connection.final().status in (400, 413, 426)

    def test_6455_4_2_2_a_path_where_nothing_is(self, plain):
        turned_away(plain, handshake(path="/nowhere"), 404)

    def test_6455_4_2_2_a_path_that_is_no_websocket(self, plain):
        assert shake(plain, handshake(path="/livez")).status in (200, 400, 404, 426)

    def test_6455_4_2_2_after_a_refusal_the_next_try_may_come(self, plain):
        with HTTPConnection(plain) as connection:
            connection.send(handshake(version="8"))
            answer = connection.final()
            assert answer.status == 426
            if answer.keeps_connection:
                connection.send(handshake())
                check_answer(connection.response(), KEY, None)
            else:
                connection.expect_end()

    def test_6455_10_2_a_page_of_another_origin_is_403(self, guarded):
        turned_away(guarded, handshake(fields="Origin: https://evil.example\r\nAuthorization: Bearer x\r\n"), 403, 401)

    @pytest.mark.parametrize("data", [b"\x81\x85\0\0\0\0hello", b"\x88\x80\0\0\0\0", b"\x89\x80\0\0\0\0"])
    def test_6455_4_frames_without_a_handshake(self, plain, data):
        assert shake(plain, data + b"\r\n\r\n").status == 400


class TestSubprotocols:
    """RFC 6455 §1.9, §4.2.2, §11.3.4. `echo` knows none."""

    @pytest.mark.parametrize("value", ["chat", "chat, superchat", "a,b,c", "chat ,superchat", "v1.json", "chat,"])
    def test_6455_4_2_2_an_unknown_subprotocol_is_not_selected(self, plain, value):
        answer = welcome(plain, handshake(fields=f"Sec-WebSocket-Protocol: {value}\r\n"))
        assert answer.get("sec-websocket-protocol") is None

    def test_6455_11_3_4_on_two_lines(self, plain):
        answer = welcome(
            plain, handshake(fields="Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: superchat\r\n")
        )
        assert answer.get("sec-websocket-protocol") is None

    @pytest.mark.parametrize("value", ["chat chat", "chat;x", "\"chat\"", "ch/at", "chat, (x)", "chat, chat", "", ","])
    def test_6455_4_1_a_malformed_list_is_400(self, plain, value):
        turned_away(plain, handshake(fields=f"Sec-WebSocket-Protocol: {value}\r\n"), 400)


class TestExtensions:
    """RFC 6455 §9.1. What permessage-deflate negotiates is in test_websocket_deflate.py."""

    @pytest.mark.parametrize(
        "value",
        [
            "foo",
            "foo; bar",
            "foo; bar=baz",
            'foo; bar="baz"',
            "foo, bar",
            "x-webkit-deflate-frame",
            "permessage-bzip2",
            "foo; bar; baz=1, quux",
            "permessage-foo; a=b, bbf-usp-protocol",
        ],
    )
    def test_6455_9_1_an_unknown_extension_is_not_agreed_on(self, plain, value):
        with opened(plain, extensions=value) as socket:
            assert socket.answer.get("sec-websocket-extensions") is None
            socket.echo(TEXT, b"hello")

    @pytest.mark.parametrize(
        "value",
        [
            ";",
            "; foo",
            "foo;",
            "foo; =x",
            "foo; a=",
            "foo; a=b c",
            "foo bar",
            "foo; a=\"",
            'foo; a="b',
            'foo; a="b c"',
            "foo; a=(b)",
            "fo/o",
            "foo; a/b",
            "foo;;bar",
            "foo; a==b",
        ],
    )
    def test_6455_9_1_a_list_against_the_grammar_is_refused(self, plain, value):
        turned_away(plain, handshake(fields=f"Sec-WebSocket-Extensions: {value}\r\n"), 400)

    @pytest.mark.parametrize(
        "lines", [["foo", "permessage-deflate"], ["permessage-deflate", "foo"], ["foo; a=b", "", "permessage-deflate"]]
    )
    def test_6455_9_1_over_several_lines(self, plain, lines):
        fields = "".join(f"Sec-WebSocket-Extensions: {line}\r\n" for line in lines)
        answer = welcome(plain, handshake(fields=fields), offered=fields)
        assert answer.get("sec-websocket-extensions", "").startswith("permessage-deflate")


def test_6455_4_a_thousand_openings(plain, is_full):
    for _ in range(3000 if is_full else 300):
        socket = WebSocket(plain)
        socket.echo(TEXT, b"x")
        socket.close()
    assert exchange(plain, get())[0].status == 200
