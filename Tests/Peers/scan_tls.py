"""All of testssl.sh: known attacks, client simulations, headers. More than a minute, so `make tls-scan` runs it."""

from harness.scanners import complaints, findings_of_testssl


def test_testssl_finds_nothing_at_all(gateway, tmp_path, authority):
    certificate = authority.issue("localhost", "127.0.0.1", days=90, folder=tmp_path)
    edge = gateway(TLS_CERTIFICATE=certificate.chain, TLS_KEY=certificate.key)
    found = findings_of_testssl(edge.port, tmp_path, authority.certificate, seconds=900)
    assert complaints(found) == {}
    # It did get to the end.
    vulnerabilities = [name for name, (severity, _) in found.items() if severity == "OK"]
    assert {"heartbleed", "CCS", "ticketbleed", "ROBOT", "POODLE_SSL", "SWEET32", "LUCKY13"} <= set(vulnerabilities)
