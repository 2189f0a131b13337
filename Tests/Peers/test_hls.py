"""HLS through the gateway: real streams of ffmpeg, served by nginx, played by ffprobe and ffmpeg."""

import json
import socket
import threading
from urllib.parse import urljoin

import pytest
from harness import answers, nginx, playlists, streams, tokens
from harness.processes import free_port, run


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, stream_folder):
    """An origin that the gateway was not told of."""
    server = nginx.origin(tmp_path_factory.mktemp("elsewhere"), stream_folder)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def origin(tmp_path_factory, stream_folder, elsewhere):
    redirects = f"""
        location /moved/ {{ rewrite ^/moved/(.*)$ /ts/$1 redirect; }}
        location /away/ {{ return 302 {elsewhere.origin}/ts/index.m3u8; }}
        location /loop {{ return 302 /loop; }}
        location /gone {{ return 404; }}
    """
    server = nginx.origin(tmp_path_factory.mktemp("origin"), stream_folder, redirects)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def dying_port():
    return free_port()


@pytest.fixture(scope="module")
def gateway_settings(origin, dying_port):
    return {
        "PLUGINS": "echo,hls",
        "HLS_ALLOWED_ORIGINS": f"{origin.origin},http://127.0.0.1:{dying_port}",
        "ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8",
    }


@pytest.fixture(scope="module")
def gate(shared_gateway, gateway_settings):
    return shared_gateway(**gateway_settings)


def through(gateway, url, kind="manifest", query=""):
    return f"{gateway.origin}/proxy/{kind}/{tokens.base64url(url.encode())}{query}"


def probe(url):
    """Kind, codec and number of decoded frames of every stream that ffprobe finds."""
    done = run([
        "ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_type,codec_name,nb_read_frames",
        "-of", "json", url,
    ])
    assert not done.stderr, done.stderr.decode()
    found = json.loads(done.stdout)["streams"]
    return sorted((each["codec_type"], each["codec_name"], each.get("nb_read_frames")) for each in found)


def played(url):
    """A digest of everything that ffmpeg reads from every stream of `url`."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", url, "-map", "0", "-c", "copy"]
    return run([*command, "-f", "streamhash", "-hash", "md5", "-"]).stdout.decode()


def curl(*arguments, check=True):
    return run(["curl", "--silent", "--show-error", "--max-time", "20", *arguments], check=check)


def answer(url, *arguments):
    """Status, headers (lower-case names) and body, as curl sees them."""
    head, _, body = curl("--include", *arguments, url).stdout.partition(b"\r\n\r\n")
    first, *lines = head.decode().lower().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name: value.strip() for name, _, value in pairs}, body


# Playing


@pytest.mark.parametrize("kind", streams.PLAYLISTS)
def test_ffprobe_counts_the_frames_of_a_direct_play(kind, origin, gate):
    url = f"{origin.origin}/{streams.PLAYLISTS[kind]}"
    direct = probe(url)
    assert ("video", "h264", str(streams.FRAMES)) in direct
    assert probe(through(gate, url)) == direct


@pytest.mark.parametrize("kind", streams.PLAYLISTS)
def test_ffmpeg_reads_the_bytes_of_a_direct_play(kind, origin, gate):
    url = f"{origin.origin}/{streams.PLAYLISTS[kind]}"
    assert played(through(gate, url)) == played(url)


@pytest.mark.parametrize("kind", streams.PLAYLISTS)
def test_every_resource_of_a_playlist_is_reached_and_unchanged(kind, origin, gate):
    """Keys, initialisation sections and subtitles too, which ffprobe may leave alone."""
    url = f"{origin.origin}/{streams.PLAYLISTS[kind]}"
    direct = playlists.walk(url)
    assert len(direct) >= 3
    assert playlists.walk(through(gate, url)) == direct


def test_a_stream_plays_through_the_ingress(origin, gate, ingress):
    url = f"{origin.origin}/{streams.PLAYLISTS['TS']}"
    door = f"https://localhost:{ingress(gate).port}"
    assert probe(through(gate, url).replace(gate.origin, door)) == probe(url)


# Playlists


@pytest.mark.parametrize("kind", streams.PLAYLISTS)
def test_a_playlist_names_nothing_but_the_gateway(kind, origin, gate):
    status, headers, body = answer(through(gate, f"{origin.origin}/{streams.PLAYLISTS[kind]}"))
    assert status == 200
    assert "mpegurl" in headers["content-type"]
    for tag, uri in playlists.uris(body.decode()):
        assert uri.startswith(("/proxy/", f"{gate.origin}/proxy/")), f"{tag}: {uri}"


def test_a_playlist_is_rewritten_whole_though_a_player_asks_for_a_range(origin, gate):
    """ffmpeg sends `Range: bytes=0-` for everything; an origin would answer that with 206."""
    status, _, body = answer(through(gate, f"{origin.origin}/ts/index.m3u8"), "-r", "0-")
    assert status == 200
    assert body.startswith(b"#EXTM3U") and b"/proxy/segment/" in body


def test_a_token_is_neither_written_into_a_playlist_nor_sent_upstream(origin, gate):
    token = tokens.mint()
    url = through(gate, f"{origin.origin}/{streams.PLAYLISTS['AES-128']}", query=f"?token={token}")
    status, _, body = answer(url, "-H", f"Authorization: Bearer {token}", "-H", f"Cookie: token={token}")
    assert status == 200
    # The signature alone would do harm; and nobody should find the token by decoding what stands in the URIs.
    signature = token.rsplit(".", 1)[1]
    assert signature not in body.decode()
    for _, uri in playlists.uris(body.decode()):
        playlists.fetch(urljoin(url, uri), headers={"Authorization": f"Bearer {token}"})
    assert signature not in origin.access_log
    assert signature not in gate.stdout + gate.stderr


# Bytes


def test_a_range_is_answered_with_206_and_those_bytes(origin, gate, stream_folder):
    whole = (stream_folder / "ts/part0.ts").read_bytes()
    status, headers, body = answer(through(gate, f"{origin.origin}/ts/part0.ts", "segment"), "-r", "100-299")
    assert (status, headers["content-range"], body) == (206, f"bytes 100-299/{len(whole)}", whole[100:300])


def test_the_last_bytes_can_be_asked_for(origin, gate, stream_folder):
    whole = (stream_folder / "ts/part0.ts").read_bytes()
    status, _, body = answer(through(gate, f"{origin.origin}/ts/part0.ts", "segment"), "-r", "-50")
    assert (status, body) == (206, whole[-50:])


def test_a_range_past_the_end_is_416(origin, gate):
    status, headers, _ = answer(through(gate, f"{origin.origin}/ts/part0.ts", "segment"), "-r", "999999999-")
    assert status == 416
    assert headers["content-range"].startswith("bytes */")


def test_head_tells_the_length_and_sends_nothing(origin, gate, stream_folder):
    length = (stream_folder / "ts/part0.ts").stat().st_size
    status, headers, body = answer(through(gate, f"{origin.origin}/ts/part0.ts", "segment"), "--head")
    assert (status, int(headers["content-length"]), body) == (200, length, b"")


def test_a_page_of_another_site_may_read_playlists_and_segments(origin, gate):
    for kind, path in (("manifest", "ts/index.m3u8"), ("segment", "ts/part0.ts")):
        url = through(gate, f"{origin.origin}/{path}", kind)
        status, headers, _ = answer(url, "-H", "Origin: https://player.example")
        assert (status, headers["access-control-allow-origin"]) == (200, "*")
        assert "access-control-allow-credentials" not in headers


def test_a_preflight_for_a_range_is_answered(origin, gate):
    status, headers, _ = answer(
        through(gate, f"{origin.origin}/ts/part0.ts", "segment"), "-X", "OPTIONS",
        "-H", "Origin: https://player.example", "-H", "Access-Control-Request-Method: GET",
        "-H", "Access-Control-Request-Headers: range",
    )
    assert status in (200, 204)
    assert headers["access-control-allow-origin"] == "*"
    assert "range" in headers["access-control-allow-headers"]


# Redirects


def test_a_redirect_is_followed_and_uris_resolve_against_where_it_led(origin, gate):
    moved = through(gate, f"{origin.origin}/moved/index.m3u8")
    assert playlists.walk(moved) == playlists.walk(f"{origin.origin}/ts/index.m3u8")


def test_a_redirect_to_another_origin_is_refused_and_never_asked(origin, elsewhere, gate):
    status, _, body = answer(through(gate, f"{origin.origin}/away/index.m3u8"))
    assert status in (403, 502)
    assert b"EXTM3U" not in body
    assert elsewhere.access_log == ""


def test_a_circle_of_redirects_ends_after_five(origin, gate):
    before = origin.access_log.count("/loop")
    status, _, _ = answer(through(gate, f"{origin.origin}/loop"))
    assert status == 502
    assert origin.access_log.count("/loop") - before <= 6


# Refusals


def test_an_origin_that_is_not_allowed_is_refused_and_never_asked(elsewhere, gate):
    status, headers, body = answer(through(gate, f"{elsewhere.origin}/ts/index.m3u8"))
    assert status == 403
    assert "json" in headers["content-type"] and json.loads(body)["error"]["message"]
    assert elsewhere.access_log == ""


@pytest.mark.parametrize("text", [
    "%21%21", "aGVsbG8", tokens.base64url(b"file:///etc/passwd"), tokens.base64url(b"data:,a"),
], ids=["no base64", "no URL", "a file", "data"])
def test_what_is_no_url_is_400(text, gate):
    assert answer(f"{gate.origin}/proxy/manifest/{text}")[0] == 400


def test_a_404_of_the_origin_stays_one(origin, gate):
    assert answer(through(gate, f"{origin.origin}/gone", "segment"))[0] == 404


def test_a_private_address_needs_the_setting(origin, gateway, gateway_settings):
    closed = gateway(**gateway_settings | {"ALLOW_PRIVATE_NETWORKS": None})
    before = origin.access_log
    assert answer(through(closed, f"{origin.origin}/ts/index.m3u8"))[0] == 403
    assert origin.access_log == before


def test_an_empty_list_allows_nothing(origin, gateway, gateway_settings):
    closed = gateway(**gateway_settings | {"HLS_ALLOWED_ORIGINS": ""})
    assert answer(through(closed, f"{origin.origin}/ts/index.m3u8"))[0] == 403


# An origin that dies


@pytest.fixture
def dying(dying_port):
    """Answers one request with a promise of 100 000 bytes, keeps half of it, and hangs up."""
    listener = socket.create_server(("127.0.0.1", dying_port))
    listener.settimeout(15)

    threads = []

    def serve(framing, half):
        def once():
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n" + framing + b"\r\n\r\n" + half)

        threads.append(threading.Thread(target=once))
        threads[-1].start()
        return f"http://127.0.0.1:{dying_port}/part0.ts"

    yield serve
    for thread in threads:
        thread.join()
    listener.close()


@pytest.mark.parametrize("framing, half", [
    (b"Content-Length: 100000", bytes(50_000)),
    (b"Transfer-Encoding: chunked", b"c350\r\n" + bytes(50_000) + b"\r\n"),
    (b"Transfer-Encoding: chunked", b"c350\r\n" + bytes(20_000)),
], ids=["length", "between chunks", "inside a chunk"])
def test_a_body_that_was_cut_does_not_look_whole(framing, half, dying, gate):
    url = dying(framing, half)
    done = curl("--output", "/dev/null", "--write-out", "%{http_code}", through(gate, url, "segment"), check=False)
    # 18: shorter than promised. 56: the connection failed. A gateway that noticed in time says 502.
    assert done.returncode in (18, 56) or done.stdout == b"502", (done.returncode, done.stdout)


# An origin of every kind of manners


_CHILD = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\npart0.ts\n#EXT-X-ENDLIST\n"
_LONG = b"#EXTM3U\n" + b"".join(b"#EXTINF:2,\na-rather-long-name-of-a-segment-%06d.ts\n" % n for n in range(8000))


def _conditional(handler):
    if handler.headers["If-None-Match"] == '"v1"':
        return answers.respond(handler, status=304, etag='"v1"')
    return answers.respond(handler, b"media", content_type="video/mp2t", etag='"v1"', set_cookie="a=1")


def _ranged(handler):
    """A playlist that neither its name nor its type tells of."""
    if handler.headers["Range"]:
        return answers.respond(handler, _CHILD[:20], 206, content_range=f"bytes 0-19/{len(_CHILD)}")
    return answers.respond(handler, _CHILD)


def _page(handler):
    answers.respond(handler, b"<script>alert(1)</script>", content_type="text/html")


@pytest.fixture(scope="module")
def mannered():
    mpegurl = {"content_type": "application/vnd.apple.mpegurl"}
    server = answers.Server({
        "/typed": answers.reply(_CHILD, **mpegurl), "/untold": _ranged, "/page": _page,
        "/packed.m3u8": answers.reply(b"\x1f\x8b", **mpegurl, content_encoding="gzip"),
        "/broken.m3u8": answers.reply(b"<html>", **mpegurl), "/long.m3u8": answers.reply(_LONG, **mpegurl), "/long": answers.reply(_LONG),
        "/media.ts": _conditional, "/busy.ts": answers.reply(status=503, retry_after="7"),
        "/odd.ts": answers.reply(status=300), "/lost.ts": answers.reply(status=302),
    })
    yield server
    server.stop()


@pytest.fixture(scope="module")
def strict(shared_gateway, gateway_settings, mannered, silent):
    return shared_gateway(**gateway_settings | {
        "HLS_ALLOWED_ORIGINS": f"{mannered.origin},{silent},http://no-such-host.invalid",
        "HLS_HEAD_TIMEOUT": "500ms", "HLS_PLAYLIST_LIMIT": "1MiB", "HLS_SEND_REFERER": "true",
    })


@pytest.mark.parametrize("kind", ["manifest", "segment"])
@pytest.mark.parametrize("path", ["typed", "untold"])
@pytest.mark.parametrize("arguments", [(), ("-r", "0-")], ids=["whole", "a range"])
def test_a_playlist_is_known_by_type_or_first_bytes_wherever_it_turns_up(kind, path, arguments, mannered, strict):
    status, _, body = answer(through(strict, f"{mannered.origin}/{path}", kind), *arguments)
    assert status == 200
    uri = playlists.uris(body.decode())[0][1]
    assert uri.startswith("/proxy/segment/") and uri.endswith(".ts")


def test_head_of_a_playlist_tells_the_length_of_the_rewritten_one(mannered, strict):
    url = through(strict, f"{mannered.origin}/typed")
    assert answer(url, "--head")[1]["content-length"] == str(len(answer(url)[2]))


def test_a_long_playlist_is_rewritten_whole_and_a_longer_one_refused(mannered, strict, gateway, gateway_settings):
    status, _, body = answer(through(strict, f"{mannered.origin}/long.m3u8"))
    assert (status, body.count(b"/proxy/segment/")) == (200, 8000)
    small = gateway(**gateway_settings | {"HLS_ALLOWED_ORIGINS": mannered.origin, "HLS_PLAYLIST_LIMIT": "64KiB"})
    # The second is known by its first bytes, of which more come at once than it may have.
    for path in ("long.m3u8", "long"):
        status, _, body = answer(through(small, f"{mannered.origin}/{path}"))
        assert status == 502
        assert "larger than 64 KiB" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize("path, kind, status, words", [
    ("packed.m3u8", "manifest", 502, "compressed"), ("broken.m3u8", "manifest", 502, "#EXTM3U"),
    ("busy.ts", "segment", 503, "Upstream error"), ("odd.ts", "segment", 502, "300"),
    ("lost.ts", "segment", 502, "redirect"),
])
def test_what_an_origin_does_wrong_is_told(path, kind, status, words, mannered, strict):
    found, headers, body = answer(through(strict, f"{mannered.origin}/{path}", kind))
    assert (found, headers["access-control-allow-origin"], headers["cache-control"]) == (status, "*", "no-store")
    assert words in json.loads(body)["error"]["message"]
    assert headers.get("retry-after") == ("7" if path == "busy.ts" else None)


def test_an_origin_that_does_not_answer_is_504_and_one_that_is_not_there_502(silent, strict):
    assert answer(through(strict, f"{silent}/x.m3u8"))[0] == 504
    assert answer(through(strict, "http://no-such-host.invalid/x.m3u8"))[0] == 502


def test_media_is_revalidated_and_sets_no_cookie(mannered, strict):
    url = through(strict, f"{mannered.origin}/media.ts", "segment")
    status, headers, _ = answer(url)
    assert (status, headers["etag"], headers["cache-control"]) == (200, '"v1"', "public, max-age=3600")
    assert "set-cookie" not in headers
    assert answer(url, "-H", 'If-None-Match: "v1"')[0] == 304


def test_a_page_of_the_origin_cannot_run_as_one_of_ours(mannered, strict):
    _, headers, _ = answer(through(strict, f"{mannered.origin}/page"))
    assert (headers["content-security-policy"], headers["x-content-type-options"]) == ("sandbox", "nosniff")


def test_directives_go_to_the_origin_and_the_viewers_fields_do_not(mannered, strict):
    query = f"?_HLS_msn=7&token={tokens.mint()}&auth=Bearer%20x&_HLS_part=1"
    answer(through(strict, f"{mannered.origin}/typed", query=query), "-H", "Cookie: a=1", "-H", "Origin: https://p.example")
    _, path, headers = mannered.requests[-1]
    assert path == "/typed?_HLS_msn=7&_HLS_part=1"
    assert headers["Referer"] == f"{mannered.origin}/" and headers["Origin"] == mannered.origin
    assert not {"cookie", "authorization", "x-forwarded-for"} & {name.lower() for name in headers}


def test_only_this_machine_is_served_until_the_setting_says_otherwise(mannered, strict, gateway, gateway_settings):
    url = through(strict, f"{mannered.origin}/typed")
    afar = ("-H", "X-Forwarded-For: 192.0.2.1")
    status, headers, body = answer(url, *afar)
    assert (status, headers["access-control-allow-origin"]) == (403, "*")
    assert "HLS_PUBLIC" in json.loads(body)["error"]["message"]
    public = gateway(**gateway_settings | {"HLS_ALLOWED_ORIGINS": mannered.origin, "HLS_PUBLIC": "true"})
    assert answer(through(public, f"{mannered.origin}/typed"), *afar)[0] == 200


def test_playlists_segments_and_refusals_are_counted(strict):
    names = {sample.split("{")[0] for sample in strict.get("/metrics", ops=True)[2].decode().splitlines()}
    assert {"gateway_hls_refused_total"} <= names
    assert any(name.startswith("gateway_hls_playlists_total ") for name in names)
