"""Whom the real server refuses: an Origin that is not in its list, and a Host that is not a name of this machine.

Its order is this one: Origin before Host, both before the path is looked at, and a refusal is a bare 403. Its list of
origins grows by OLLAMA_ORIGINS; the check of Host is left out if it listens on more than the loopback.
"""

import ipaddress
import socket
from fnmatch import fnmatchcase

_LOCAL = ("localhost", "127.0.0.1", "0.0.0.0")
_ORIGINS = [
    *(f"{scheme}://{host}{port}" for host in _LOCAL for scheme in ("http", "https") for port in ("", ":*")),
    "app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*",
]
_LOCAL_DOMAINS = (".localhost", ".local", ".internal")
_HEADERS = ("Authorization", "Content-Type", "User-Agent", "Accept", "X-Requested-With")


def is_foreign_origin(request, extra=()):
    origin = request.header("origin")
    if not origin or origin in (f"http://{request.header('host')}", f"https://{request.header('host')}"):
        return False
    return not any(fnmatchcase(origin, pattern) for pattern in (*_ORIGINS, *extra))


def is_foreign_host(request):
    host = _without_port(request.header("host", "")).lower()
    try:
        address = ipaddress.ip_address(host)
        return not (address.is_loopback or address.is_private or address.is_unspecified)
    except ValueError:
        pass
    return not (host in ("", "localhost", socket.gethostname().lower()) or host.endswith(_LOCAL_DOMAINS))


def _without_port(host):
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, colon, port = host.rpartition(":")
    return name if colon and ":" not in name else host


def shared_with(request):
    """What lets a page of the asking origin read the answer."""
    origin = request.header("origin")
    if not origin:
        return []
    return [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]


def preflight():
    return [
        ("Access-Control-Allow-Headers", ",".join(_HEADERS)),
        ("Access-Control-Allow-Methods", "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"),
        ("Access-Control-Max-Age", "43200"),
    ]
