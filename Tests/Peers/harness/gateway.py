"""The gateway under test: the real binary, on free loopback ports."""

import http.client
import os
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from . import exposition, tokens
from .processes import Process, bare_environment, free_port
from .waiting import until

ROOT = Path(__file__).resolve().parents[3]


def binary():
    """GATEWAY_BINARY, or the release build of this tree."""
    path = Path(os.environ.get("GATEWAY_BINARY") or ROOT / ".build/release/gateway")
    assert path.exists(), f"{path} is missing: `make build` makes it"
    return path


def is_sanitized():
    """Whether `make sanitize` asks: then the sanitizer's own memory hides what the gateway's is."""
    return "LSAN_OPTIONS" in os.environ


class Gateway(Process):
    """A gateway that was told `settings` on top of the suite's own; a setting of `None` is left out."""

    def __init__(self, folder, settings=None, arguments=("serve",), authority=None):
        self.port = free_port()
        self.ops_port = free_port()
        self.authority = authority
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        own = {
            "WEBSOCKET_PORT": self.port,
            "LISTEN_ADDRESS": "127.0.0.1",
            "OPS_LISTEN": f"127.0.0.1:{self.ops_port}",
            "STATE_DIRECTORY": folder / "state",
            "PLUGINS": "echo",
            "SUPABASE_JWT_SECRET": tokens.SECRET,
            "SUPABASE_AUTH_ISSUER": tokens.ISSUER,
            "SUPABASE_AUTH_AUDIENCE": tokens.AUDIENCE,
            "TRUSTED_PROXIES": "127.0.0.0/8,::1/128",
            # Tests that try bad tokens share an address with all others.
            "BRUTE_FORCE_THRESHOLD": "0",
            # Most tests are not about the end, and it would be waited for at the end of each.
            "DRAIN_GRACE": "0",
            "LOG_LEVEL": "debug",
        }
        self.settings = {k: str(v) for k, v in (own | (settings or {})).items() if v is not None}
        (folder / "state").mkdir(mode=0o700, exist_ok=True)
        super().__init__("gateway", [binary(), *arguments], folder, bare_environment(folder) | self.settings)

    def stop(self, patience=10):
        """Also fails, once, if a sanitizer has found something."""
        is_known = self not in Process.running
        super().stop(patience)
        assert is_known or "Sanitizer" not in self.stderr, self.tail(200)

    @property
    def is_tls(self):
        return "TLS_CERTIFICATE" in self.settings

    @property
    def origin(self):
        return f"{'https' if self.is_tls else 'http'}://localhost:{self.port}"

    @property
    def websocket_origin(self):
        return self.origin.replace("http", "ws", 1)

    def get(self, path, ops=False, headers=None, seconds=10):
        """Status, headers and body of a GET to the main port, or to the operator's."""
        base = f"http://127.0.0.1:{self.ops_port}" if ops else self.origin
        context = ssl.create_default_context(cafile=self.authority) if base.startswith("https") else None
        request = urllib.request.Request(base + path, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=seconds, context=context) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.headers, refusal.read()

    def status(self, path, **options):
        """The status of a GET, or the error if nobody answers."""
        try:
            return self.get(path, **options)[0]
        except (OSError, http.client.HTTPException) as error:
            return str(error)

    def wait_until_ready(self, seconds=15):
        """Returns when /readyz says so. Fails at once if the process ends before."""

        last = None

        def ready():
            nonlocal last
            assert self.exit_code is None, f"the gateway ended with {self.exit_code} before it was ready: {last}"
            last = self.status("/readyz")
            return last == 200

        try:
            until(ready, "/readyz", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it last said: {last}") from None
        return self

    def metrics(self):
        status, _, body = self.get("/metrics", ops=True)
        assert status == 200
        return exposition.parse(body.decode())

    def total(self, name, **labels):
        """The sum of a metric's samples whose labels include `labels`."""
        return exposition.total(self.metrics(), name, **labels)
