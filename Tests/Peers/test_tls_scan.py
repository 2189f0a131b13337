"""What sslyze and testssl.sh say of the gateway's TLS, and that they would say something else of worse."""

import pytest
from harness.processes import Process, free_port
from harness.scanners import complaints, findings_of_testssl, mozilla_intermediate
from harness.waiting import until


@pytest.fixture(scope="module")
def long_lived(authority, tmp_path_factory):
    """As long as a certificate from a public authority: scanners mind one that ends tomorrow."""
    return authority.issue("localhost", "127.0.0.1", days=90, folder=tmp_path_factory.mktemp("long-lived"))


@pytest.fixture(scope="module")
def edge(shared_gateway, long_lived):
    return shared_gateway(TLS_CERTIFICATE=long_lived.chain, TLS_KEY=long_lived.key)


@pytest.fixture
def lax(tmp_path, long_lived):
    """openssl as a server of 2010: TLS 1.0 and CBC suites."""
    port = free_port()
    process = Process("lax", [
        "openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", long_lived.chain, "-key", long_lived.key,
        "-cipher", "ALL:@SECLEVEL=0", "-min_protocol", "TLSv1", "-curves", "P-521:X25519", "-www",
    ], tmp_path)
    # Asking the port would take the one connection it serves at a time.
    until(lambda: "ACCEPT" in process.stdout or process.exit_code is not None, "openssl s_server")
    assert process.exit_code is None, process.tail()
    yield port
    process.stop()


def test_sslyze_finds_mozillas_intermediate_configuration(edge, authority):
    code, said = mozilla_intermediate(edge.port, authority.certificate)
    assert code == 0 and "OK - Compliant" in said, said


def test_sslyze_would_notice_a_weak_server(lax, authority):
    code, said = mozilla_intermediate(lax, authority.certificate)
    assert code != 0 and "Not compliant" in said, said
    assert "tls_versions" in said and "ciphers" in said, said


#: Protocols, cipher categories, server defaults: seconds. `make tls-scan` runs every check there is.
SHORT = ("--protocols", "--std", "--server-defaults")


def test_testssl_finds_nothing_in_protocols_ciphers_and_defaults(edge, tmp_path, authority):
    found = findings_of_testssl(edge.port, tmp_path, authority.certificate, *SHORT)
    assert complaints(found) == {}
    assert found["TLS1_2"][0] == found["TLS1_3"][0] == "OK"


def test_testssl_would_notice_a_weak_server(lax, tmp_path, authority):
    found = complaints(findings_of_testssl(lax, tmp_path, authority.certificate, "--protocols", "--std"))
    assert {"TLS1", "TLS1_1", "cipherlist_aNULL"} <= set(found), found
