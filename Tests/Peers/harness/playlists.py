"""A small HLS reader: everything that a playlist leads to, so that two ways to it can be compared byte by byte."""

import re
import urllib.request
from dataclasses import dataclass
from urllib.parse import urljoin

_URI = re.compile(r'URI="([^"]*)"')
_RANGE = re.compile(r'BYTERANGE[:=]"?(\d+)(?:@(\d+))?')


@dataclass(frozen=True)
class Resource:
    """What stands behind one URI: `tag` says which line named it."""

    tag: str
    body: bytes


def fetch(url, byte_range=None, headers=None):
    """Status, headers and body; a 206 is demanded where a range was asked for."""
    request = urllib.request.Request(url, headers=headers or {})
    if byte_range:
        request.add_header("Range", f"bytes={byte_range[0]}-{byte_range[1]}")
    with urllib.request.urlopen(request, timeout=15) as answer:
        body = answer.read()
        if byte_range:
            assert answer.status == 206, f"{url}: {answer.status} for a range"
            assert len(body) == byte_range[1] - byte_range[0] + 1, f"{url}: {len(body)} bytes for {byte_range}"
        return answer.status, answer.headers, body


def uris(text):
    """(tag, URI) of every reference, in order. A line without a tag is a `segment` or a `playlist`."""
    found = []
    for line in text.splitlines():
        if line.startswith("#"):
            found += [(line[1:].split(":")[0], uri) for uri in _URI.findall(line)]
        elif line.strip():
            found.append(("segment", line.strip()))
    return found


def walk(url):
    """Every resource behind the playlist at `url`, depth first, playlists themselves left out."""
    text = fetch(url)[2].decode()
    is_master = "#EXT-X-STREAM-INF" in text
    resources, pending, next_start = [], None, 0
    for line in text.splitlines():
        byte_range = _RANGE.search(line)
        if byte_range:
            start = int(byte_range[2]) if byte_range[2] else next_start
            next_start = start + int(byte_range[1])
            pending = (start, next_start - 1)
        for tag, uri in uris(line):
            target = urljoin(url, uri)
            if is_master:
                resources += walk(target)
            else:
                resources.append(Resource(tag, fetch(target, pending)[2]))
            pending = None
    return resources
