"""What a gateway owes both sides: RFC 9110 §7.6, §15.6.3; RFC 9112 §5, §6.3, §7, §9.2."""

import itertools
import time

import pytest
from wire.http import CANARY, Closed, HTTPConnection, accepted, chunked, post, refused

_numbers = itertools.count()


@pytest.fixture
def path():
    """A path of this case's own."""
    return f"/up/{next(_numbers)}"


def request(method, target, fields="", body=b"", version="1.1"):
    return f"{method} {target} HTTP/{version}\r\nHost: gateway.test\r\n{fields}\r\n".encode("latin-1") + body


def asked(gateway, data, method="GET", version="1.1"):
    """Like `exchange`, without the end: a client that ends its side early may be taken for one that has left."""
    with HTTPConnection(gateway) as connection:
        connection.send(data + post(b"that was all", "Content-Length: 12\r\nConnection: close\r\n"))
        responses = []
        while not responses or responses[-1].body != b"that was all":
            if not connection.buffer and not connection.fill():
                return responses
            responses.append(
                connection.response(method, version)
                if all(r.status < 200 for r in responses)
                else connection.response()
            )
        return responses[:-1]


def answer(fields="", body=b"ok", status="200 OK", version="1.1", length=True):
    framing = f"Content-Length: {len(body)}\r\n" if length else ""
    return f"HTTP/{version} {status}\r\n{framing}{fields}\r\n".encode("latin-1") + body


def got(gateway, upstream, path, script, method="GET", version="1.1"):
    """What a client gets when the upstream answers `script`."""
    upstream.script[path] = script
    responses = asked(gateway, request(method, path, version=version), method, version)
    final = [r for r in responses if r.status >= 200]
    assert len(final) == 1, responses
    return final[0]


def broken(gateway, upstream, path, script):
    """A client is told of the upstream's fault: by 502, or, once the head has left, by a body that is not whole."""
    upstream.script[path] = script
    try:
        responses = asked(gateway, request("GET", path))
    except Closed:
        return
    assert [r.status for r in responses] == [502], responses


class TestRequests:
    def test_9110_7_6_a_request_is_forwarded(self, proxy, upstream, path):
        accepted(proxy, request("GET", path + "?a=b&c"))
        assert upstream.only(path).target == path + "?a=b&c"

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
    def test_9110_9_every_method_keeps_its_name(self, proxy, upstream, path, method):
        accepted(proxy, request(method, path, "Content-Length: 0\r\n"), method)
        assert upstream.only(path).method == method

    @pytest.mark.parametrize(
        "name",
        ["Connection", "Keep-Alive", "Proxy-Connection", "TE", "Transfer-Encoding", "Upgrade", "Proxy-Authorization"],
    )
    def test_9110_7_6_1_hop_by_hop_fields_end_here(self, proxy, upstream, path, name):
        value = {
            "TE": "trailers, gzip",
            "Transfer-Encoding": "chunked",
            "Connection": "keep-alive",
            "Upgrade": "foo",
        }.get(name, "x")
        body = b"0\r\n\r\n" if name == "Transfer-Encoding" else b""
        accepted(proxy, request("POST", path, f"{name}: {value}\r\n", body), "POST")
        seen = upstream.only(path)
        assert not seen.get(name) or (name, seen.get(name)) in (
            ("Transfer-Encoding", "chunked"),
            ("Connection", "keep-alive"),
        )

    @pytest.mark.parametrize("option", ["X-Hop", "x-hop", "foo, X-Hop", "X-Hop, close", ",X-Hop,"])
    def test_9110_7_6_1_so_does_what_connection_names(self, proxy, upstream, path, option):
        accepted(proxy, request("GET", path, f"Connection: {option}\r\nX-Hop: 1\r\nX-End: 2\r\n"))
        seen = upstream.only(path)
        assert seen.get("x-hop") is None and seen.get("x-end") == "2"
        assert "x-hop" not in seen.options()

    def test_9110_7_6_1_over_several_lines(self, proxy, upstream, path):
        accepted(proxy, request("GET", path, "Connection: X-One\r\nX-One: 1\r\nX-Two: 2\r\nConnection: X-Two\r\n"))
        seen = upstream.only(path)
        assert seen.get("x-one") is None and seen.get("x-two") is None

    def test_9110_5_3_other_fields_keep_their_order_and_their_bytes(self, proxy, upstream, path):
        accepted(proxy, request("GET", path, "X-A: 1\r\nX-B: \xe9\xff\r\nX-A: 2\r\nCookie: a=b\r\nX-A:3\r\n"))
        seen = upstream.only(path)
        assert seen.all("x-a") == ["1", "2", "3"] and seen.get("x-b") == "\xe9\xff" and seen.get("cookie") == "a=b"

    def test_9110_7_2_host_is_sent_once(self, proxy, upstream, path):
        accepted(proxy, request("GET", path))
        assert len(upstream.only(path).all("host")) == 1

    def test_9112_3_2_2_absolute_form_becomes_origin_form(self, proxy, upstream, path):
        accepted(proxy, request("GET", "http://gateway.test" + path))
        assert upstream.only(path).target == path

    @pytest.mark.parametrize("version, via", [("1.1", "1.1"), ("1.0", "1.0")])
    def test_9110_7_6_3_a_gateway_says_via(self, proxy, upstream, path, version, via):
        asked(proxy, request("GET", path, "Via: 1.0 fred\r\n", version=version), "GET", version)
        hops = [hop.strip() for line in upstream.only(path).all("via") for hop in line.split(",")]
        assert hops[0] == "1.0 fred" and len(hops) == 2 and hops[1].startswith(via + " ")

    def test_9110_7_6_2_max_forwards_of_zero_ends_here(self, proxy, upstream, path):
        response = asked(proxy, request("OPTIONS", path, "Max-Forwards: 0\r\n"), "OPTIONS")[0]
        assert response.status in (200, 204, 501) and not upstream.at(path)

    @pytest.mark.parametrize("value, seen", [("1", "0"), ("10", "9"), ("70", "69")])
    def test_9110_7_6_2_max_forwards_is_counted_down(self, proxy, upstream, path, value, seen):
        asked(proxy, request("OPTIONS", path, f"Max-Forwards: {value}\r\n"), "OPTIONS")
        assert upstream.only(path).get("max-forwards") == seen

    def test_9110_7_6_2_on_other_methods_it_may_be_ignored(self, proxy, upstream, path):
        accepted(proxy, request("GET", path, "Max-Forwards: 0\r\n"))

    @pytest.mark.parametrize("size", [0, 1, 5000, 200_000])
    def test_9112_6_2_a_length_stays_a_length(self, proxy, upstream, path, size):
        body = bytes(n % 251 for n in range(size))
        accepted(proxy, post(body, target=path), "POST")
        seen = upstream.only(path)
        assert (seen.body, seen.get("content-length")) == (body, str(size))

    @pytest.mark.parametrize(
        "coded, body",
        [
            (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
            (b"5;a=b;c=\"d\"\r\nhello\r\n6\r\n world\r\n0\r\nX-T: y\r\n\r\n", b"hello world"),
            (b"0\r\n\r\n", b""),
            (b"05\r\nhello\r\n00\r\n\r\n", b"hello"),
        ],
    )
    def test_9112_7_1_a_chunked_body_is_coded_anew(self, proxy, upstream, path, coded, body):
        accepted(proxy, chunked(coded, target=path), "POST")
        seen = upstream.only(path)
        assert seen.body == body and (seen.framing == "chunked" or seen.get("content-length") == str(len(body)))

    @pytest.mark.parametrize("data", ["length", "chunked"])
    def test_9112_8_half_a_request_never_looks_whole(self, proxy, upstream, path, data):
        whole = (
            post(b"x" * 50, "Content-Length: 100\r\n", path)
            if data == "length"
            else chunked(b"5\r\nhello\r\n", target=path)
        )
        with HTTPConnection(proxy) as connection:
            connection.send(whole).half_close()
            try:
                connection.responses_to_end("POST")
            except Closed:
                pass
        assert not any(seen.is_whole for seen in upstream.at(path))

    @pytest.mark.parametrize(
        "coded",
        [
            b"5\r\nhello\r\nx\r\n",
            b"5\r\nhelloxx",
            b"5\nhello\r\n0\r\n\r\n",
            b"FFFFFFFFFFFFFFFFF\r\n",
            b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        ],
    )
    def test_9112_7_1_a_malformed_body_never_looks_whole(self, proxy, upstream, path, coded):
        with HTTPConnection(proxy) as connection:
            connection.send(chunked(coded + b"GET /up/hidden HTTP/1.1\r\nHost: a\r\n\r\n", target=path))
            try:
                responses = connection.responses_to_end("POST")
                assert all(r.status >= 400 for r in responses)
            except Closed:
                pass
        assert not any(seen.is_whole for seen in upstream.at(path)) and not upstream.at("/up/hidden")

    @pytest.mark.parametrize(
        "fields, body",
        [
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", b"0\r\n\r\n"),
            ("Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", b"hello"),
            ("Content-Length: +5\r\n", b"hello"),
            ("Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
            ("X: y\r\n Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
            ("X: y\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        ],
    )
    def test_9112_11_2_nothing_that_was_refused_reaches_the_upstream(self, proxy, upstream, path, fields, body):
        refused(proxy, request("POST", path, fields, body + b"GET /up/hidden HTTP/1.1\r\nHost: a\r\n\r\n"))
        assert not upstream.at(path) and not upstream.at("/up/hidden")

    @pytest.mark.parametrize(
        "target",
        ["/up/../echo", "/up/%2e%2e/echo", "/up/./x", "/up/a/../../up/b", "/up/%2fa", "/up/a%0d%0aX:%20y", "/up/a%20b"],
    )
    def test_9110_4_2_3_no_path_changes_its_meaning_on_the_way(self, proxy, upstream, target):
        before = len(upstream.requests)
        asked(proxy, request("GET", target))
        assert not upstream.nonsense
        for seen in upstream.requests[before:]:
            assert seen.target.startswith("/up/") and "/../" not in seen.target and "/%2e" not in seen.target.lower()

    @pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Forwarded-Host"])
    def test_9110_17_what_a_client_claims_about_itself_is_not_passed_on(self, proxy, upstream, path, name):
        accepted(proxy, request("GET", path, f"{name}: for=6.6.6.6\r\n"))
        assert "6.6.6.6" not in str(upstream.only(path).fields)

    def test_9110_7_8_an_upgrade_is_not_forwarded_as_one(self, proxy, upstream, path):
        asked(proxy, request("GET", path, "Connection: Upgrade\r\nUpgrade: foo\r\n"))
        assert upstream.only(path).get("upgrade") is None

    @pytest.mark.parametrize("length", [5, 100_000])
    def test_9110_10_1_1_expect_is_answered_here_or_by_the_upstream(self, proxy, upstream, path, length):
        with HTTPConnection(proxy) as connection:
            connection.send(post(b"", f"Content-Length: {length}\r\nExpect: 100-continue\r\n", path))
            assert connection.response("POST").status == 100
            connection.send(bytes(length))
            assert connection.response("POST").status == 200
        assert len(upstream.only(path).body) == length


class TestResponses:
    @pytest.mark.parametrize("version", ["1.1", "1.0"])
    def test_9110_6_2_the_answer_is_ours_in_version_and_framing(self, proxy, upstream, path, version):
        response = got(proxy, upstream, path, answer("X-A: b\r\n"), version=version)
        assert (response.status, response.body, response.get("x-a")) == (200, b"ok", "b")

    @pytest.mark.parametrize("version", ["1.1", "1.0"])
    def test_9112_9_an_upstream_of_http_1_0(self, proxy, upstream, path, version):
        response = got(proxy, upstream, path, [answer(version="1.0"), None], version=version)
        assert response.body == b"ok"

    @pytest.mark.parametrize("version", ["1.1", "1.0"])
    def test_9112_6_3_a_body_that_ends_with_the_connection(self, proxy, upstream, path, version):
        response = got(proxy, upstream, path, [answer(length=False, body=b"until the end"), None], version=version)
        assert response.body == b"until the end"
        assert response.framing == ("chunked" if version == "1.1" else "close")

    @pytest.mark.parametrize("version", ["1.1", "1.0"])
    @pytest.mark.parametrize(
        "coded, body",
        [(b"5\r\nhello\r\n0\r\n\r\n", b"hello"), (b"5;a\r\nhello\r\n0\r\nX: y\r\n\r\n", b"hello"), (b"0\r\n\r\n", b"")],
    )
    def test_9112_7_1_a_chunked_answer(self, proxy, upstream, path, version, coded, body):
        response = got(
            proxy, upstream, path, answer("Transfer-Encoding: chunked\r\n", coded, length=False), version=version
        )
        assert response.body == body

    @pytest.mark.parametrize(
        "name", ["Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", "X-Hop", "Proxy-Authenticate"]
    )
    def test_9110_7_6_1_hop_by_hop_fields_end_here(self, proxy, upstream, path, name):
        value = "x-hop" if name == "Connection" else "timeout=5"
        response = got(proxy, upstream, path, answer(f"Connection: X-Hop\r\n{name}: {value}\r\n"))
        assert response.get("x-hop") is None and response.get(name) in (None, "close")

    def test_9110_5_3_other_fields_keep_their_order(self, proxy, upstream, path):
        response = got(proxy, upstream, path, answer("Set-Cookie: a=1\r\nX-A: 1\r\nSet-Cookie: b=2\r\nX-A: 2\r\n"))
        assert response.all("set-cookie") == ["a=1", "b=2"] and response.all("x-a") == ["1", "2"]

    def test_9110_6_6_1_a_date_of_the_upstream_is_kept_or_ours_is_sent(self, proxy, upstream, path):
        assert len(got(proxy, upstream, path, answer()).all("date")) == 1

    @pytest.mark.parametrize("length", [0, 2, 123_456])
    def test_9110_9_3_2_head(self, proxy, upstream, path, length):
        upstream.script[path] = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode()
        response = accepted(proxy, request("HEAD", path), "HEAD")
        assert response.get("content-length") in (str(length), None)

    @pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
    def test_9112_6_3_answers_without_a_body(self, proxy, upstream, path, status):
        upstream.script[path] = f"HTTP/1.1 {status}\r\nETag: \"a\"\r\n\r\n".encode()
        assert accepted(proxy, request("GET", path), status=int(status[:3])).get("etag") == '"a"'

    @pytest.mark.parametrize(
        "status",
        [200, 201, 203, 206, 299, 300, 301, 302, 307, 308, 399, 400, 404, 410, 418, 429, 451, 499, 500, 503, 599],
    )
    def test_9110_15_every_final_status_is_passed_on(self, proxy, upstream, path, status):
        assert got(proxy, upstream, path, answer(status=f"{status} Whatever")).status == status

    @pytest.mark.parametrize("interim", ["100 Continue", "102 Processing", "103 Early Hints", "199 Unknown"])
    @pytest.mark.parametrize("version", ["1.1", "1.0"])
    def test_9110_15_2_an_interim_answer_is_not_the_answer(self, proxy, upstream, path, interim, version):
        script = f"HTTP/1.1 {interim}\r\nLink: </a>\r\n\r\n".encode() * 2 + answer()
        assert got(proxy, upstream, path, script, version=version).body == b"ok"

    def test_9110_7_8_a_switch_that_nobody_asked_for_is_502(self, proxy, upstream, path):
        broken(
            proxy, upstream, path, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n"
        )

    @pytest.mark.parametrize(
        "script",
        [
            pytest.param([None], id="nothing"),
            pytest.param([b"HTTP/1.1 200 OK\r\nConte", None], id="half a head"),
            pytest.param([b"nonsense\r\n\r\n", None], id="no status line"),
            pytest.param([b"HTTP/2.0 200 OK\r\n\r\n", None], id="HTTP/2.0"),
            pytest.param([b"HTTP/1.1 20 OK\r\n\r\n", None], id="two digits"),
            pytest.param([b"HTTP/1.1 2000 OK\r\n\r\n", None], id="four digits"),
            pytest.param([b"HTTP/1.1 abc OK\r\n\r\n", None], id="letters"),
            pytest.param([b"HTTP/1.1 000 OK\r\n\r\n", None], id="status 000"),
            pytest.param([b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n", None], id="status 600"),
            pytest.param(answer("Content-Length: 3\r\n"), id="two lengths"),
            pytest.param(answer("Transfer-Encoding: chunked\r\n"), id="length and coding"),
            pytest.param(answer("Content-Length: x\r\n", length=False), id="no number"),
            pytest.param(answer("Content-Length: -2\r\n", length=False), id="negative"),
            pytest.param(answer("Content-Length: 2, 3\r\n", length=False), id="a list of lengths"),
            pytest.param(answer("Content-Length: 99999999999999999999\r\n", length=False), id="beyond 2^64"),
            pytest.param(
                answer("Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n", length=False),
                id="a coding that was not asked for",
            ),
            pytest.param(
                [answer("Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n", length=False), None], id="an unknown coding"
            ),
            pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", None], id="half a body"),
            pytest.param(
                [answer("Transfer-Encoding: chunked\r\n", b"5\r\nhel", length=False), None], id="half a chunk"
            ),
            pytest.param(
                [answer("Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n", length=False), None], id="no last chunk"
            ),
            pytest.param(
                [answer("Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n", length=False), None],
                id="no end of the trailers",
            ),
            pytest.param(
                [answer("Transfer-Encoding: chunked\r\n", b"g\r\nhello\r\n", length=False), None], id="no chunk"
            ),
            pytest.param(
                [answer("Transfer-Encoding: chunked\r\n", b"5\r\nhelloxx", length=False), None],
                id="a chunk that is too long",
            ),
            pytest.param(answer("X: a\x00b\r\n"), id="NUL in a value"),
            pytest.param(answer("X\x00: a\r\n"), id="NUL in a name"),
            pytest.param(answer("X\r\n"), id="no colon"),
            pytest.param(answer("X: " + "a" * 200_000 + "\r\n"), id="a head without end"),
            pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, None], id="interim answers without end"),
        ],
    )
    def test_9110_15_6_3_an_invalid_answer_is_502_or_visibly_cut_short(self, proxy, upstream, path, script):
        broken(proxy, upstream, path, script)
        accepted(proxy, request("GET", path + "/after"))

    @pytest.mark.parametrize(
        "field", ["X : a", "X: a\r\n b", "X: a\rb", "X: a\r\n\tb", "Transfer-Encoding : chunked", "X: \x01"]
    )
    def test_9112_5_a_malformed_field_is_mended_or_502(self, proxy, upstream, path, field):
        """§5.1: white space before the colon MUST be removed; §5.2: a fold MUST be replaced or refused."""
        upstream.script[path] = [answer(field + "\r\n"), None]
        try:
            responses = asked(proxy, request("GET", path))
        except Closed:
            return
        assert [r.status for r in responses] in ([200], [502])

    def test_9112_6_3_more_than_was_announced_is_not_the_next_answer(self, proxy, upstream, path):
        upstream.script[path] = answer() + answer(body=b"smuggled")
        for _ in range(5):
            assert asked(proxy, request("GET", path))[0].body == b"ok"
            assert asked(proxy, request("GET", path + "/other"))[0].body == b"ok"

    def test_9112_9_2_an_answer_to_nothing_is_not_the_next_answer(self, proxy, upstream, path):
        """The upstream speaks first on an idle connection; it must not be taken for the answer to the next request."""
        upstream.script[path] = [answer(), answer(body=b"unasked")]
        for _ in range(5):
            assert asked(proxy, request("GET", path))[0].body == b"ok"
            # It must have arrived, which nobody here is told of: one that comes after the next request was sent could not
            # be told from the answer to that.
            time.sleep(0.05)

    def test_9112_9_3_an_early_answer_is_passed_on(self, proxy, upstream, path):
        upstream.script[path] = (answer(status="413 Content Too Large", fields="Connection: close\r\n"), [None])
        with HTTPConnection(proxy) as connection:
            connection.send(post(bytes(300_000), target=path))
            assert connection.final("POST").status in (413, 502)

    def test_9112_9_3_2_pipelined_requests_are_answered_in_order(self, proxy, upstream, path):
        for number in range(20):
            upstream.script[f"{path}/{number}"] = answer(body=b"%d" % number)
        responses = asked(proxy, b"".join(request("GET", f"{path}/{number}") for number in range(20)) + CANARY)
        assert [r.body for r in responses] == [b"%d" % n for n in range(20)] + [b"canary-answered"]

    @pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1 << 20, 5 << 20])
    @pytest.mark.parametrize("coding", ["length", "chunked", "close"])
    @pytest.mark.parametrize("version", ["1.1", "1.0"])
    def test_9112_6_bodies_of_every_size(self, proxy, upstream, path, size, coding, version):
        body = (bytes(range(251)) * (size // 251 + 1))[:size]
        if coding == "length":
            script = answer(body=body)
        elif coding == "chunked":
            script = answer(
                "Transfer-Encoding: chunked\r\n",
                (b"%x\r\n%s\r\n" % (size, body) if size else b"") + b"0\r\n\r\n",
                length=False,
            )
        else:
            script = [answer(body=body, length=False), None]
        assert got(proxy, upstream, path, script, version=version).body == body
