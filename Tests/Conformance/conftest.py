"""Gateways to test, each started once for the whole run, and the choice between the short and the full form."""

import contextlib
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "Peers")]

from harness.gateway import Gateway  # noqa: E402
from harness.processes import Process  # noqa: E402
from wire.upstream import Upstream  # noqa: E402

#: What the gateways of the suites are told. Named by the property that a case needs.
GATEWAYS = {
    # As it comes, but for a threshold that lets small messages be compressed, too.
    "plain": {"COMPRESSION_THRESHOLD": 0},
    # For messages to 16 MiB, in fragments of 64 bytes.
    "large": {
        "MAX_FRAME_SIZE": "16MiB",
        "MAX_FRAGMENTS": 300_000,
        "WEBSOCKET_SEND_BUFFER": "64MiB",
        "HTTP_MAX_BODY": "64MiB",
    },
    # For going over limits and waiting for time-outs.
    "small": {
        "MAX_FRAME_SIZE": "16KiB",
        "MAX_MESSAGE_SIZE": "32KiB",
        "MAX_FRAGMENTS": 16,
        "CLOSE_TIMEOUT": "300ms",
        "HTTP_MAX_BODY": "64KiB",
        "HTTP_HEAD_TIMEOUT": "700ms",
        "HTTP_BODY_TIMEOUT": "700ms",
        "HTTP_KEEP_ALIVE_TIMEOUT": "700ms",
    },
    # Compression in its other forms.
    "takeover": {"COMPRESSION_CONTEXT_TAKEOVER": "true", "COMPRESSION_THRESHOLD": 0},
    "nine": {"COMPRESSION_CONTEXT_TAKEOVER": "true", "COMPRESSION_THRESHOLD": 0, "COMPRESSION_WINDOW_BITS": 9},
    "uncompressed": {"COMPRESSION_ENABLED": "false"},
    "alone": {"COMPRESSION_THRESHOLD": 0, "COMPRESSION_WINDOW_BITS": 10},
    # Asks for tokens, and knows which pages may connect.
    "guarded": {"ECHO_REQUIRE_TOKEN": "true", "ALLOWED_ORIGINS": "https://app.example.com"},
}
_common = {"ECHO_REQUIRE_TOKEN": "false", "LOOPS": 1, "LOG_LEVEL": "warn", "ACCESS_LOG": "false"}


def pytest_addoption(parser):
    parser.addoption("--form", choices=("short", "full"), default="full", help="how much of the suite to run")


def pytest_collection_modifyitems(config, items):
    if config.getoption("form") == "full":
        return
    left_out = [item for item in items if item.get_closest_marker("full")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("full")]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed case prints what its gateway wrote."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for process in Process.running:
            if process.stderr or process.exit_code is not None:
                report.sections.append((f"{process.folder.name} (exit {process.exit_code})", process.tail(20)))


@pytest.fixture(scope="session")
def is_full(request):
    """Whether this is the full form; for cases that scale instead of being left out."""
    return request.config.getoption("form") == "full"


@pytest.fixture(scope="session")
def gateways(tmp_path_factory):
    """`gateways("small")` starts the gateway of that name, or returns the one that runs."""
    folder = tmp_path_factory.mktemp("gateways")
    running = {}
    with contextlib.ExitStack() as stack:

        def start(name):
            if name not in running:
                process = Gateway(folder / name, _common | GATEWAYS[name])
                stack.callback(process.stop)
                running[name] = process.wait_until_ready()
            assert running[name].exit_code is None, f"the gateway '{name}' has ended with {running[name].exit_code}"
            return running[name]

        yield start


def _of(name):
    @pytest.fixture(name=name, scope="session")
    def gateway(gateways):
        return gateways(name)

    return gateway


plain, large, small, guarded = _of("plain"), _of("large"), _of("small"), _of("guarded")
takeover, nine, alone, uncompressed = _of("takeover"), _of("nine"), _of("alone"), _of("uncompressed")


@pytest.fixture(scope="session")
def upstream():
    """The server behind ``proxy``."""
    server = Upstream()
    yield server
    server.close()


@pytest.fixture(scope="session")
def proxy(upstream, tmp_path_factory):
    """A gateway that forwards `/up`."""
    routes = f"/up=http://127.0.0.1:{upstream.port}"
    # The server answers wrongly again and again, which is no reason not to ask it here.
    settings = {"PLUGINS": "echo,proxy", "PROXY_ROUTES": routes, "CIRCUIT_BREAKER_FAILURES": 0}
    process = Gateway(tmp_path_factory.mktemp("proxy"), _common | settings)
    try:
        yield process.wait_until_ready()
    finally:
        process.stop()
