"""Message format, version, request line, target, Host: RFC 9112 §2, §3; RFC 9110 §2, §4, §7, §9.1."""

import pytest
from wire.http import CANARY, HTTPConnection, accepted, chunked, exchange, get, post, refused

TCHAR = set(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
#: A space ends the target, and is the matter of §3.
NO_TARGET = [*range(0x20), 0x22, 0x23, 0x3C, 0x3E, *range(0x7F, 0x100)]
HOST = b"Host: gateway.test\r\n"


def line(text, rest=HOST):
    """A request whose request line is `text`."""
    return (text if isinstance(text, bytes) else text.encode("latin-1")) + b"\r\n" + rest + b"\r\n"


def field(text):
    """A GET with one more field line, which may be wrong."""
    text = text if isinstance(text, bytes) else text.encode("latin-1")
    return b"GET /echo HTTP/1.1\r\n" + HOST + text + b"\r\n\r\n"


def cases(table):
    return [pytest.param(*row[1:], id=row[0]) for row in table]


class TestMessageFormat:
    """RFC 9112 §2."""

    def test_9112_2_1_a_plain_request_is_answered(self, plain):
        response = accepted(plain, get())
        assert response.body == b"ok"

    def test_9112_2_2_one_empty_line_before_the_request_line_is_ignored(self, plain):
        accepted(plain, b"\r\n" + get())

    def test_9112_2_2_an_empty_line_after_a_body_is_ignored(self, plain):
        responses = exchange(plain, post(b"one") + b"\r\n" + post(b"two"))
        assert [r.body for r in responses] == [b"one", b"two"]

    def test_9112_2_2_empty_lines_without_end_are_not(self, plain):
        refused(plain, b"\r\n" * 2000, 400)

    @pytest.mark.parametrize(
        "data",
        cases(
            [
                ("bare LF after the request line", b"GET /echo HTTP/1.1\n" + HOST + b"\r\n"),
                ("bare LF after a field", b"GET /echo HTTP/1.1\r\nHost: gateway.test\n\r\n"),
                ("bare LF ends the head", b"GET /echo HTTP/1.1\r\n" + HOST + b"\n"),
                ("bare LF everywhere", b"GET /echo HTTP/1.1\nHost: gateway.test\n\n"),
                ("bare LF before the request line", b"\n" + get()),
                ("bare CR before the request line", b"\r" + get()),
                ("bare CR after the request line", b"GET /echo HTTP/1.1\r" + HOST + b"\r\n"),
                ("bare CR ends the head", b"GET /echo HTTP/1.1\r\n" + HOST + b"\rX: y\r\n\r\n"),
                ("bare CR in a value", field(b"X: a\rb")),
                ("bare CR at the end of a value", field(b"X: a\r")),
                ("bare CR at the start of a value", field(b"X:\ra")),
                ("bare CR in a name", field(b"X\rY: a")),
                ("LF CR instead of CR LF", b"GET /echo HTTP/1.1\n\rHost: gateway.test\n\r\n\r"),
                ("CR CR LF", b"GET /echo HTTP/1.1\r\r\n" + HOST + b"\r\n"),
                ("CR CR LF after a field", b"GET /echo HTTP/1.1\r\nHost: gateway.test\r\r\n\r\n"),
                ("NUL in a value", field(b"X: a\0b")),
                ("NUL in a name", field(b"X\0: a")),
                ("NUL in the target", line(b"GET /ec\0ho HTTP/1.1")),
                ("NUL in the method", line(b"G\0T /echo HTTP/1.1")),
                ("NUL after the version", line(b"GET /echo HTTP/1.1\0")),
                ("NUL before the request", b"\0" + get()),
                ("white space before the first field", b"GET /echo HTTP/1.1\r\n " + HOST + b"\r\n"),
                ("a tab before the first field", b"GET /echo HTTP/1.1\r\n\t" + HOST + b"\r\n"),
                ("a blank line of white space before the first field", b"GET /echo HTTP/1.1\r\n \r\n" + HOST + b"\r\n"),
                ("a byte order mark", b"\xef\xbb\xbf" + get()),
                ("UTF-16", get().decode().encode("utf-16-le")),
            ]
        ),
    )
    def test_9112_2_2_line_ends_and_controls(self, plain, data):
        refused(plain, data, 400)

    def test_9112_2_2_a_tls_handshake_on_the_plain_port_is_told_so(self, plain):
        hello = bytes.fromhex("16030100c8010000c40303") + bytes(190)
        assert b"TLS" in refused(plain, hello, 400).body

    @pytest.mark.parametrize(
        "junk",
        [b"\x80" * 64, b"SSH-2.0-OpenSSH_9.2\r\n", b"\x04\x01\0\x50\x7f\0\0\1\0", b"{}\r\n\r\n", b"EHLO mail\r\n"],
    )
    def test_9112_2_2_another_protocol_is_refused(self, plain, junk):
        refused(plain, junk)

    def test_9112_9_8_a_connection_that_says_nothing_is_closed_without_a_word(self, plain):
        assert exchange(plain, b"") == []

    @pytest.mark.parametrize("cut", [1, 10, 20, 30, len(get()) - 1])
    def test_9112_8_an_incomplete_head_is_never_acted_upon(self, plain, cut):
        responses = exchange(plain, get()[:cut])
        assert [r.status for r in responses] in ([], [400])


class TestVersion:
    """RFC 9112 §2.3, RFC 9110 §2.5, §6.2."""

    def test_9112_2_3_http_1_1(self, plain):
        accepted(plain, get(version="1.1"))

    def test_9112_2_3_http_1_0(self, plain):
        accepted(plain, get(version="1.0"), request_version="1.0")

    def test_9110_6_2_the_answer_to_http_1_0_says_1_1_and_is_framed_for_1_0(self, plain):
        response = accepted(plain, post(b"body", version="1.0"), "POST", request_version="1.0")
        assert response.framing in ("length", "close") and response.body == b"body"

    @pytest.mark.parametrize("version", ["0.9", "2.0", "3.0", "9.9", "0.0", "2.1"])
    def test_9110_15_6_6_another_major_version(self, plain, version):
        refused(plain, get(version=version), 505, 400)

    @pytest.mark.parametrize("version", ["1.2", "1.9"])
    def test_9110_2_5_a_higher_minor_version_is_taken_for_1_1_or_refused_by_number(self, plain, version):
        status = exchange(plain, get(version=version, fields="Connection: close\r\n"))[0].status
        assert status in (200, 505)

    def test_9113_3_4_the_preface_of_http_2(self, plain):
        refused(plain, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, 400, follow=bytes(9))

    def test_9112_3_http_0_9(self, plain):
        refused(plain, b"GET /echo\r\n", 400, follow=b"\r\n")

    @pytest.mark.parametrize(
        "version",
        [
            "http/1.1",
            "Http/1.1",
            "HTTP/1",
            "HTTP/1.",
            "HTTP/.1",
            "HTTP/11",
            "HTTP/1.1.1",
            "HTTP/01.1",
            "HTTP/1.01",
            "HTTP/1.10",
            "HTTP/11.1",
            "HTTP/1,1",
            "HTTP/1 .1",
            "HTTP /1.1",
            "HTTP/ 1.1",
            "HTTP1.1",
            "HTTP-1.1",
            "HTTPS/1.1",
            "XTTP/1.1",
            "HTTP/+1.1",
            "HTTP/-1.1",
            "HTTP/1.+1",
            "HTTP/0x1.1",
            "HTTP/a.b",
            "HTTP/1.a",
            "ICAP/1.0",
            "RTSP/1.0",
            "HTTP/1.1x",
            "HTTP/1.1 ",
            "HTTP/1.1\t",
            "\tHTTP/1.1",
            "HTTP/1.1;",
            "HTTP/1.1\x7f",
            "HTTP//1.1",
            "HTTP\\1.1",
            "",
            " ",
            "\xc8TTP/1.1",
        ],
    )
    def test_9112_2_3_the_version_is_spelled_exactly(self, plain, version):
        refused(plain, line(f"GET /echo {version}"), 400, 505)


class TestRequestLine:
    """RFC 9112 §3."""

    @pytest.mark.parametrize(
        "text",
        [
            "GET  /echo HTTP/1.1",
            "GET /echo  HTTP/1.1",
            "GET\t/echo HTTP/1.1",
            "GET /echo\tHTTP/1.1",
            " GET /echo HTTP/1.1",
            "\tGET /echo HTTP/1.1",
            "GET /echo HTTP/1.1 x",
            "GET /ec ho HTTP/1.1",
            "GET HTTP/1.1",
            "GET",
            "GET ",
            "/echo HTTP/1.1",
            "GET/echo HTTP/1.1",
            "GET /echo",
            "GET /echo ",
            "GET\x0b/echo\x0bHTTP/1.1",
            "GET\x0c/echo HTTP/1.1",
            "GET\xa0/echo HTTP/1.1",
            "GET /echo\xa0HTTP/1.1",
            "GET,/echo,HTTP/1.1",
            ": /echo HTTP/1.1",
        ],
    )
    def test_9112_3_two_single_spaces_and_nothing_else(self, plain, text):
        refused(plain, line(text), 400)

    @pytest.mark.parametrize("octet", sorted(set(range(256)) - TCHAR - {0x20, 0x0A}), ids=lambda o: f"{o:02x}")
    def test_9110_9_1_a_method_is_a_token(self, plain, octet):
        refused(plain, line(b"GE" + bytes([octet]) + b"T /echo HTTP/1.1"), 400)

    @pytest.mark.parametrize(
        "method",
        [
            "FOO",
            "PROPFIND",
            "PURGE",
            "M-SEARCH",
            "X_Y",
            "GETGET",
            "A" * 31,
            "get",
            "Get",
            "gET",
            "pOST",
            "1",
            "!#$%&'*+-.^_`|~",
        ],
    )
    def test_9110_9_1_an_unrecognized_method_is_not_implemented(self, plain, method):
        status = exchange(plain, line(f"{method} /echo HTTP/1.1"))[0].status
        assert status in (501, 405)

    @pytest.mark.parametrize("length", [33, 64, 1000, 8000])
    def test_9112_3_a_very_long_method(self, plain, length):
        refused(plain, line("A" * length + " /echo HTTP/1.1"), 400, 414, 501)

    def test_9112_3_request_lines_of_8000_octets_are_supported(self, plain):
        target = "/echo?" + "q" * (8000 - len("GET /echo? HTTP/1.1"))
        accepted(plain, get(target))

    @pytest.mark.parametrize("length", [8200, 9000, 16000, 65536, 200_000])
    def test_9112_3_a_longer_target_is_414(self, plain, length):
        refused(plain, get("/" + "a" * length), 414)

    def test_9112_3_a_target_without_end_is_414(self, plain):
        refused(plain, b"GET /" + b"a" * 100_000, 414, follow=b"")


class TestTarget:
    """RFC 9112 §3.2, RFC 9110 §4, §7.1."""

    @pytest.mark.parametrize("octet", NO_TARGET, ids=lambda o: f"{o:02x}")
    def test_9112_3_2_octets_that_no_target_holds(self, plain, octet):
        """Those in a path that browsers send against the grammar (`[`, `|`, `^`) may be taken."""
        refused(plain, line(b"GET /echo" + bytes([octet]) + b"x HTTP/1.1"), 400)

    @pytest.mark.parametrize("octet", NO_TARGET, ids=lambda o: f"{o:02x}")
    @pytest.mark.full
    def test_9112_3_2_octets_that_no_query_holds(self, plain, octet):
        refused(plain, line(b"GET /echo?a=" + bytes([octet]) + b"x HTTP/1.1"), 400)

    @pytest.mark.parametrize(
        "target", ["/%", "/%2", "/%zz", "/%2g", "/%g2", "/a%", "/%%", "/% 41", "/%u0041", "/%00", "/echo%00"]
    )
    def test_9110_4_2_percent_encoding_is_well_formed(self, plain, target):
        refused(plain, get(target), 400)

    @pytest.mark.parametrize(
        "target",
        [
            "echo",
            "echo/",
            "?q",
            "#",
            "/echo#part",
            "\\echo",
            "*x",
            "**",
            "*/",
            "",
            "//",
            "./echo",
            "../echo",
            "%2fecho",
        ],
    )
    def test_9112_3_2_four_forms_and_no_other(self, plain, target):
        responses = exchange(plain, get(target))
        # Two slashes are an absolute path with an empty segment: valid, and nothing is there.
        assert responses[0].status in ((400, 404) if target == "//" else (400,))

    def test_9112_3_2_1_origin_form_with_a_query(self, plain):
        assert accepted(plain, get("/echo?a=b&c=/d?e")).body == b"ok"

    @pytest.mark.parametrize("target", ["/%65cho", "/./echo", "/a/../echo", "/%2e/echo"])
    def test_9110_4_2_3_equivalent_paths_are_one_resource_or_refused(self, plain, target):
        assert exchange(plain, get(target))[0].status in (200, 400, 404)

    @pytest.mark.parametrize("target", ["/../echo", "/../../etc/passwd", "/%2e%2e/echo", "/..%2fecho"])
    def test_9110_17_3_no_path_leads_out_of_the_root(self, plain, target):
        assert exchange(plain, get(target))[0].status in (400, 404)

    @pytest.mark.parametrize(
        "target",
        [
            "http://gateway.test/echo",
            "HTTP://gateway.test/echo",
            "http://GATEWAY.TEST/echo",
            "https://gateway.test/echo",
            "http://gateway.test/echo?q=1",
        ],
    )
    def test_9112_3_2_2_absolute_form_is_accepted(self, plain, target):
        assert accepted(plain, get(target)).body == b"ok"

    def test_9112_3_2_2_absolute_form_without_a_path_is_the_root(self, plain):
        assert exchange(plain, get("http://gateway.test"))[0].status in (404, 426)

    def test_9112_3_2_2_absolute_form_and_another_host(self, plain):
        """RFC 9112 would ignore Host; two answers to "for whom" are refused here, as §11.2 recommends for doubt."""
        refused(plain, get("http://gateway.test/echo", host="other.test"), 400)

    @pytest.mark.parametrize(
        "target",
        [
            "http:///echo",
            "http:/echo",
            "http:echo",
            "http://user@gateway.test/echo",
            "http://user:pw@gateway.test/echo",
            "ftp://gateway.test/echo",
            "file:///etc/passwd",
            "gopher://gateway.test/",
            "://gateway.test/echo",
            "//gateway.test/echo",
            "http://gateway.test:/echo",
            "http://gateway.test:99999/echo",
            "http://gateway.test:-1/echo",
            "http://[::1/echo",
            "http://gateway.test\\@evil.test/echo",
            "javascript:alert(1)",
        ],
    )
    def test_9112_3_2_2_absolute_forms_that_are_none(self, plain, target):
        responses = exchange(plain, get(target))
        assert responses[0].status in ((400, 404) if target.startswith("//") else (400,))

    def test_9112_3_2_2_absolute_form_does_not_replace_host(self, plain):
        refused(plain, get("http://gateway.test/echo", host=None), 400)

    @pytest.mark.parametrize("target", ["gateway.test:443", "[::1]:443", "10.0.0.1:1"])
    def test_9110_9_3_6_connect_is_not_a_tunnel_here(self, plain, target):
        with HTTPConnection(plain) as connection:
            connection.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
            assert connection.final("CONNECT").status in (400, 403, 404, 405, 501)

    @pytest.mark.parametrize(
        "target",
        [
            "/echo",
            "gateway.test",
            "http://gateway.test:443/",
            "gateway.test:",
            "gateway.test:0",
            "gateway.test:65536",
            ":443",
            "*",
        ],
    )
    def test_9112_3_2_3_connect_needs_host_and_port(self, plain, target):
        refused(plain, f"CONNECT {target} HTTP/1.1\r\nHost: gateway.test\r\n\r\n".encode(), 400, 405, 501)

    @pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "DELETE"])
    def test_9112_3_2_3_authority_form_is_for_connect_only(self, plain, method):
        data = f"{method} gateway.test:80 HTTP/1.1\r\nHost: gateway.test:80\r\nContent-Length: 0\r\n\r\n".encode()
        assert exchange(plain, data, method)[0].status == 400

    def test_9112_3_2_4_the_asterisk_with_options_is_understood(self, plain):
        response = exchange(plain, b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", "OPTIONS")[0]
        assert response.status in (200, 204)

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "TRACE"])
    def test_9112_3_2_4_the_asterisk_is_for_options_only(self, plain, method):
        refused(plain, f"{method} * HTTP/1.1\r\n".encode() + HOST + b"\r\n", 400)


class TestHost:
    """RFC 9112 §3.2, RFC 9110 §7.2."""

    def test_9112_3_2_a_missing_host_is_400(self, plain):
        refused(plain, get(host=None), 400)

    def test_9112_3_2_http_1_0_needs_none(self, plain):
        accepted(plain, get(version="1.0", host=None), request_version="1.0")

    @pytest.mark.parametrize("second", ["gateway.test", "other.test", ""])
    def test_9112_3_2_two_hosts_are_400(self, plain, second):
        refused(plain, get(fields=f"Host: {second}\r\n"), 400)

    @pytest.mark.parametrize("second", ["gateway.test", "other.test"])
    def test_9112_3_2_two_hosts_in_http_1_0_are_400(self, plain, second):
        refused(plain, get(version="1.0", fields=f"Host: {second}\r\n"), 400)

    def test_9112_3_2_two_hosts_apart_are_400(self, plain):
        refused(plain, get(fields="A: b\r\nC: d\r\nhOST: other.test\r\n"), 400)

    @pytest.mark.parametrize(
        "host",
        [
            "gateway.test",
            "GATEWAY.test",
            "gateway.test:80",
            "gateway.test:65535",
            "127.0.0.1",
            "127.0.0.1:3001",
            "[::1]",
            "[::1]:3001",
            "[2001:db8::1]",
            "localhost",
            "a-b.c_d.test",
            "xn--bcher-kva.test",
            "gateway.test.",
        ],
    )
    def test_9112_3_2_valid_hosts(self, plain, host):
        accepted(plain, get(host=host))

    @pytest.mark.parametrize(
        "host",
        [
            "a b",
            "a,b",
            "a/b",
            "a?b",
            "a#b",
            "a@b",
            "user:pw@a",
            "a:b",
            "a:80:80",
            "a:-1",
            "a:65536",
            "a:99999999999",
            "a: 80",
            "a :80",
            "http://a",
            "//a",
            "[::1",
            "::1]",
            "::1",
            "[]",
            "[::1]x",
            "[:::]",
            "[1:2:3]",
            "[::1]:x",
            "a\\b",
            "a\"b",
            "a<b",
            "a>b",
            "a|b",
            "a^b",
            "a`b",
            "a{b}",
            "%",
            "%0",
            "%00",
            "a%zz",
            "a\x7f",
            "a\xe9",
            "\"a\"",
            "a;b",
            "a..b",
            ".a",
            "[v1.x",
            "[::g]",
            "[::ffff:1.2.3.256]",
            "@",
            ":80",
            "a\tb",
            "a, a",
        ],
    )
    def test_9112_3_2_an_invalid_host_is_400(self, plain, host):
        refused(plain, get(host=host), 400)

    @pytest.mark.parametrize("host", ["", " ", "\t"])
    def test_9112_3_2_an_empty_host_is_400_or_taken_for_none(self, plain, host):
        assert exchange(plain, get(host=host))[0].status in (400, 200)


def test_9112_2_2_refusals_do_not_spoil_the_next_connection(plain):
    for _ in range(20):
        refused(plain, b"GET /echo HTTP/1.1\nHost: a\n\n", 400)
        accepted(plain, get())


def test_9112_2_2_a_refusal_after_good_requests_comes_in_order(plain):
    with HTTPConnection(plain) as connection:
        connection.send(post(b"1") + chunked(b"1\r\n2\r\n0\r\n\r\n") + b"BAD\r\n\r\n" + CANARY)
        assert [connection.final("POST").body for _ in range(2)] == [b"1", b"2"]
        assert connection.final().status == 400
        connection.expect_end()
