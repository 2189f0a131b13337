"""Static files and compressed responses, as curl meets them on the sample port of `serve --dev`."""

import gzip
import re

import pytest
from harness.gateway import is_sanitized
from harness.processes import answers, free_port, run
from harness.waiting import until

_PLAYLIST = "#EXTM3U\n" + "".join(f"#EXTINF:2,\nsegment{n}.ts\n" for n in range(200))
_SEGMENT = bytes(range(256)) * 4096
_FILM = 24 << 20


class _Served:
    """`serve --dev` with a folder of ours in place of its sample stream."""

    def __init__(self, process, port):
        self.process = process
        self.url = f"http://127.0.0.1:{port}/sample"

    def peak_memory(self):
        """Bytes."""
        return int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{self.process.pid}/status").read())[1]) << 10


@pytest.fixture(scope="module")
def site(served):
    return served.url


@pytest.fixture(scope="module")
def served(shared_gateway, tmp_path_factory):
    state = tmp_path_factory.mktemp("state")
    sample = state / "sample"
    (sample / "folder").mkdir(parents=True)
    (sample / "index.m3u8").write_text(_PLAYLIST)
    (sample / "segment0.ts").write_bytes(_SEGMENT)
    (sample / "digits.txt").write_text("0123456789")
    (sample / "folder" / "index.html").write_text("an index")
    (sample / ".hidden").write_text("hidden")
    (sample / "page.html").write_text("<p>page</p>")
    (sample / "page.html.gz").write_bytes(gzip.compress(b"<p>the same page, compressed before</p>"))
    (state / "secret.txt").write_text("secret")
    (sample / "out.txt").symlink_to("../secret.txt")
    (sample / "absolute.txt").symlink_to(state / "secret.txt")
    with open(sample / "film.mp4", "wb") as film:
        film.truncate(_FILM)
    port = free_port()
    process = shared_gateway(
        arguments=("serve", "--dev"), wait=False, STATE_DIRECTORY=state, SAMPLE_PORT=port, PLUGINS="echo,sample")
    until(lambda: answers(port), "the sample port")
    return _Served(process, port)


def curl(*arguments):
    """Status, headers (lower-case names) and body."""
    done = run(["curl", "--silent", "--show-error", "--path-as-is", "--max-time", "20", "--include", *arguments])
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, body


def test_a_file_is_what_stands_on_the_disk(site):
    for name, content in [("segment0.ts", _SEGMENT), ("index.m3u8", _PLAYLIST.encode())]:
        status, headers, body = curl(f"{site}/{name}")
        assert (status, body) == (200, content)
        assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-type"] == "application/vnd.apple.mpegurl"


@pytest.mark.parametrize("wanted, part", [
    ("0-0", slice(0, 1)), ("1000-300000", slice(1000, 300001)), ("1048000-", slice(1048000, None)),
    ("-7", slice(-7, None)), ("0-99999999", slice(0, None)),
])
def test_curl_gets_the_range_it_asks_for(wanted, part, site):
    status, headers, body = curl("--range", wanted, f"{site}/segment0.ts")
    assert (status, body) == (206, _SEGMENT[part])
    assert re.fullmatch(rf"bytes \d+-\d+/{len(_SEGMENT)}", headers["content-range"])


def test_curl_gets_several_ranges_and_none_beyond_the_end(site):
    status, headers, body = curl("--range", "0-1,4-5", f"{site}/digits.txt")
    assert (status, int(headers["content-length"])) == (206, len(body))
    assert headers["content-type"].startswith("multipart/byteranges; boundary=")
    assert re.findall(rb"\r\n\r\n(\d\d)\r\n--", body) == [b"01", b"45"]
    status, headers, _ = curl("--range", "10-", f"{site}/digits.txt")
    assert (status, headers["content-range"]) == (416, "bytes */10")


def test_a_download_that_broke_off_is_resumed(site, tmp_path):
    target = tmp_path / "segment"
    target.write_bytes(_SEGMENT[:400_000])
    run(["curl", "--silent", "--fail", "--continue-at", "-", "--output", target, f"{site}/segment0.ts"])
    assert target.read_bytes() == _SEGMENT


def test_curl_keeps_its_copy_by_tag_and_by_date(site, tmp_path):
    tag, target = tmp_path / "tag", tmp_path / "copy"
    fetch = ["curl", "--silent", "--output", target, "--write-out", "%{http_code}", "--remote-time"]
    assert run([*fetch, "--etag-save", tag, f"{site}/digits.txt"]).stdout == b"200"
    assert run([*fetch, "--etag-compare", tag, f"{site}/digits.txt"]).stdout == b"304"
    assert run([*fetch, "--time-cond", target, f"{site}/digits.txt"]).stdout == b"304"


@pytest.mark.parametrize("name", ["index.m3u8", "page.html"])
def test_curl_inflates_what_comes_compressed(name, site):
    _, plain, whole = curl(f"{site}/{name}")
    status, headers, body = curl("--compressed", f"{site}/{name}")
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert "accept-encoding" in headers["vary"].lower()
    assert headers["etag"] != plain["etag"]
    if name == "index.m3u8":
        assert body == whole
        _, _, packed = curl("-H", "Accept-Encoding: gzip", f"{site}/{name}")
        assert gzip.decompress(packed) == whole and len(packed) < len(whole) / 4
    else:
        assert body == b"<p>the same page, compressed before</p>"


def test_media_is_not_compressed_and_a_part_neither(site):
    for arguments in ([f"{site}/segment0.ts"], ["--range", "0-99", f"{site}/index.m3u8"]):
        assert "content-encoding" not in curl("--compressed", *arguments)[1]


def test_a_folder_is_its_index(site):
    status, headers, _ = curl(f"{site}/folder?a=1")
    assert (status, headers["location"]) == (301, "/sample/folder/?a=1")
    assert curl("--location", f"{site}/folder")[2].endswith(b"an index")


@pytest.mark.parametrize("path", [
    "../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "%2e%2e%2fsecret.txt", "folder/../../secret.txt",
    "folder/..%2f..%2fsecret.txt", "..%5csecret.txt", "..%252fsecret.txt", "..;/secret.txt", "./../secret.txt",
    "out.txt", "absolute.txt", ".hidden", "%2ehidden", "/etc/passwd", "%2fetc%2fpasswd", "digits.txt%00", "digits.txt/",
    "folder//index.html", "%c0%ae%c0%ae/secret.txt", "folder", "nothing.txt", "digits.txt%0d%0aX:%20y",
])
def test_nothing_else_can_be_reached(path, site):
    status, _, body = curl(f"{site}/{path}")
    assert status in (301, 400, 404)
    assert body != b"hidden" and b"secret" not in body and b"root:" not in body


def test_slow_readers_get_the_whole_and_take_no_memory(site, served, tmp_path):
    before = served.peak_memory()
    targets = [tmp_path / str(n) for n in range(8)]
    command = " & ".join(f"curl --silent --limit-rate 24M --output {target} {site}/film.mp4" for target in targets)
    run(["bash", "-c", f"{command} & wait"])
    assert [target.stat().st_size for target in targets] == [_FILM] * 8
    assert is_sanitized() or served.peak_memory() - before < _FILM
