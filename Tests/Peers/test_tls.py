"""The gateway as the edge itself: what `openssl s_client` may and may not agree with it."""

import re

import pytest
from harness.processes import run


@pytest.fixture(scope="module")
def edge(shared_gateway, certificate, authority):
    """Two certificates: localhost first, so it is also what a client without SNI gets."""
    second = authority.issue("second.test")
    return shared_gateway(
        TLS_CERTIFICATE=f"{certificate.chain},{second.chain}", TLS_KEY=f"{certificate.key},{second.key}"
    )


@pytest.fixture
def handshake(edge, authority):
    def attempt(*options, name="localhost"):
        """The completed process of one handshake, its transcript as text."""
        done = run([
            "openssl", "s_client", "-connect", f"127.0.0.1:{edge.port}", "-CAfile", authority.certificate,
            "-servername", name, "-verify_hostname", name, "-verify_return_error", *options,
        ], check=False, seconds=15)
        return done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")

    return attempt


def hung_up(transcript):
    """Whether it was the gateway that refused, not openssl's own taste."""
    return re.search(r"alert (protocol version|handshake failure)|unexpected eof|Connection reset", transcript)


@pytest.mark.parametrize("version, name", [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_modern_versions_are_spoken(version, name, handshake):
    agreed, transcript = handshake(version)
    assert agreed and f"New, {name}, Cipher is" in transcript, transcript


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(version, handshake):
    # Without level 0 the client would refuse by itself, and prove nothing.
    agreed, transcript = handshake(version, "-cipher", "DEFAULT@SECLEVEL=0")
    assert not agreed and hung_up(transcript), transcript


@pytest.mark.parametrize("group", ["X25519", "P-256", "P-384"])
def test_groups_of_the_intermediate_profile_are_taken(group, handshake):
    agreed, transcript = handshake("-groups", group)
    assert agreed, transcript


@pytest.mark.parametrize("group", ["P-521", "X448", "ffdhe2048"])
def test_other_groups_are_refused(group, handshake):
    agreed, transcript = handshake("-tls1_3", "-groups", group)
    assert not agreed and hung_up(transcript), transcript


@pytest.mark.parametrize("cipher", ["AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "DHE-RSA-AES128-SHA"])
def test_ciphers_outside_the_intermediate_profile_are_refused(cipher, handshake):
    agreed, transcript = handshake("-tls1_2", "-cipher", f"{cipher}@SECLEVEL=0")
    assert not agreed and hung_up(transcript), transcript


def test_http_1_1_is_agreed_on_by_alpn(handshake):
    assert "ALPN protocol: http/1.1" in handshake("-alpn", "h2,http/1.1")[1]


@pytest.mark.parametrize("name", ["localhost", "second.test"])
def test_the_name_picks_the_certificate(name, handshake):
    agreed, transcript = handshake(name=name)
    assert agreed and re.search(rf"subject=CN ?= ?{re.escape(name)}\n", transcript), transcript


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_ticket_resumes_a_session(version, edge, handshake, tmp_path, authority):
    ticket = tmp_path / "session.pem"
    request = f"GET /health HTTP/1.1\r\nHost: localhost:{edge.port}\r\nConnection: close\r\n\r\n"
    # The ticket of TLS 1.3 comes after the handshake, so stay for an answer.
    run([
        "openssl", "s_client", "-connect", f"127.0.0.1:{edge.port}", "-CAfile", authority.certificate,
        "-servername", "localhost", version, "-sess_out", ticket, "-ign_eof",
    ], text=request, seconds=15)
    assert "Reused, TLS" in handshake(version, "-sess_in", ticket)[1]
