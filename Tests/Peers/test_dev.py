"""`gateway serve --dev`: what `make run` starts, and every line that it tells a newcomer to try."""

import re
import stat

import pytest
from clients.wscat import Terminal
from harness.processes import bare_environment, run
from harness.waiting import until

TOOLS = ("curl", "wscat", "ffplay")


#: What a newcomer has not set.
NOTHING = dict.fromkeys([
    "LISTEN_ADDRESS", "PLUGINS", "SUPABASE_JWT_SECRET", "SUPABASE_AUTH_ISSUER", "SUPABASE_AUTH_AUDIENCE",
    "TRUSTED_PROXIES", "LOG_LEVEL",
])


@pytest.fixture(scope="module")
def dev(shared_gateway):
    """Without a single setting but ports and a place for its state."""
    process = shared_gateway(arguments=("serve", "--dev"), wait=False, **NOTHING)
    until(lambda: process.exit_code is not None or {tool for tool, _ in printed(process)} == set(TOOLS), "lines to try")
    assert process.exit_code is None, process.stderr
    return process


def printed(process):
    """(tool, line) for every command that the gateway printed."""
    lines = re.findall(r"^\s*(?:\$ )?((?:curl|wscat|ffplay) .*)$", process.stdout, re.MULTILINE)
    return [(line.split()[0], line) for line in lines]


def lines_for(process, tool):
    return [line for name, line in printed(process) if name == tool]


def test_every_curl_line_succeeds(dev):
    for line in lines_for(dev, "curl"):
        done = run(["bash", "-c", line], environment=bare_environment(dev.folder), seconds=30)
        assert done.stdout, line


def test_every_wscat_line_connects_and_echoes(dev):
    for line in lines_for(dev, "wscat"):
        with Terminal(["bash", "-c", f"exec {line}"]) as terminal:
            terminal.expect("Connected (press CTRL+C to quit)")
            terminal.type("hello")
            terminal.expect("< hello")


def test_every_ffplay_line_finds_a_picture(dev):
    for line in lines_for(dev, "ffplay"):
        without_screen = f"export SDL_VIDEODRIVER=dummy SDL_AUDIODRIVER=dummy; exec {line}"
        with Terminal(["bash", "-c", without_screen]) as terminal:
            terminal.expect("Video: h264")


def test_nothing_is_printed_for_a_plugin_that_does_not_run(gateway):
    process = gateway(arguments=("serve", "--dev"), wait=False, **NOTHING | {"PLUGINS": "hls"})
    until(lambda: "/metrics" in process.stdout, "lines to try")
    assert [line for _, line in printed(process) if not line.endswith("/metrics")] == []
    assert re.search(r"^A token that is good for an hour:\n  \S+\.\S+\.\S+$", process.stdout, re.MULTILINE)


def test_its_secret_can_be_read_by_its_owner_only(dev):
    state = dev.folder / "state"
    secrets = [path for path in state.rglob("*") if path.is_file() and re.search("secret|key", path.name)]
    assert secrets, sorted(state.rglob("*"))
    for path in secrets:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_it_refuses_an_address_that_others_could_reach(gateway):
    process = gateway(arguments=("serve", "--dev"), wait=False, LISTEN_ADDRESS="0.0.0.0")
    assert process.wait(15) != 0
    assert "LISTEN_ADDRESS" in process.stderr
