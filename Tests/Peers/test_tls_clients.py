"""Clients that show certificates: curl and Python's ssl, seen from an upstream behind the proxy plugin."""

import base64
import json
import ssl

import pytest
from harness import answers
from harness.certificates import Authority
from harness.handshakes import Visitor
from harness.processes import run
from harness.waiting import until

SAID_BY_CLIENT = ["Client-Cert: :Zm9yZ2Vk:", "Client-Cert-Chain: :Zm9yZ2Vk:", "X-Client-Cert: forged",
                  "X-SSL-Client-Verify: SUCCESS", "ssl-client-subject-dn: CN=forged", "X-Forwarded-Client-Cert: forged"]


@pytest.fixture(scope="module")
def upstream():
    def mirror(handler):
        handler.read_body()
        answers.respond(handler, json.dumps(handler.headers.items()).encode())

    server = answers.Server({"/mirror": mirror})
    yield server
    server.stop()


@pytest.fixture(scope="module")
def visitors(tmp_path_factory):
    """An authority for clients only, which vouches for no server."""
    return Authority.make(tmp_path_factory.mktemp("visitors"))


@pytest.fixture(scope="module")
def reporter(visitors):
    return visitors.issue("reporter.test", usage="clientAuth")


@pytest.fixture(scope="module")
def edge(shared_gateway, upstream, certificate, visitors):
    def start(verification, wait=True, **settings):
        return shared_gateway(
            wait=wait,
            PLUGINS="echo,proxy", PROXY_ROUTES=f"/mirror={upstream.origin}", ALLOW_PRIVATE_NETWORKS="127.0.0.0/8",
            TLS_CERTIFICATE=certificate.chain, TLS_KEY=certificate.key, TLS_CLIENT_CA=visitors.certificate,
            TLS_CLIENT_VERIFY=verification, **settings)

    return start


def curl(edge, authority, *options, check=True):
    return run([
        "curl", "--silent", "--show-error", "--max-time", "15", "--cacert", authority.certificate, *options,
        f"https://localhost:{edge.port}/mirror",
    ], check=check)


def seen(done):
    """The fields about certificates that reached the upstream, by their names in lower case."""
    fields = {name.lower(): value for name, value in json.loads(done.stdout)}
    return {name: value for name, value in fields.items() if "client" in name}


def test_an_upstream_is_told_the_certificate_and_nothing_that_clients_say_of_one(edge, authority, reporter):
    process = edge("optional", TRUSTED_PROXIES=None)
    forged = [word for field in SAID_BY_CLIENT for word in ("--header", field)]
    shown = seen(curl(process, authority, "--cert", reporter.chain, "--key", reporter.key, *forged))
    der = ssl.PEM_cert_to_DER_cert(reporter.chain.read_text())
    assert shown == {"client-cert": f":{base64.b64encode(der).decode()}:"}
    assert seen(curl(process, authority, *forged)) == {}


def test_a_trusted_proxy_is_not_its_client(edge, authority, reporter):
    """Its certificate says who the proxy is; the request it passes on is somebody else's."""
    process = edge("optional")
    mine = ["--cert", reporter.chain, "--key", reporter.key]
    assert "client-cert" in seen(curl(process, authority, *mine))
    assert seen(curl(process, authority, *mine, "--header", "X-Forwarded-For: 203.0.113.9")) == {}


def test_where_one_is_required_nobody_gets_in_without(edge, authority, reporter):
    process = edge_that_requires(edge, authority, reporter)
    failures = process.total("gateway_tls_failures_total")
    refused = curl(process, authority, check=False)
    assert refused.returncode != 0 and b"alert" in refused.stderr, refused.stderr
    assert process.total("gateway_tls_failures_total") == failures + 1
    # Who serves us is not somebody we serve.
    stranger = authority.issue("stranger.test", usage="clientAuth")
    refused = curl(process, authority, "--cert", stranger.chain, "--key", stranger.key, check=False)
    assert refused.returncode != 0 and b"unknown ca" in refused.stderr, refused.stderr


def edge_that_requires(edge, authority, reporter):
    """Its /readyz on the main port would need a certificate too."""
    process = edge("require", wait=False)
    visitor = Visitor(authority.certificate, certificate=reporter)

    def ready():
        try:
            return visitor.visit(process.port).answer == b"ok"
        except OSError:
            assert process.exit_code is None, process.tail()
            return False

    until(ready, "the gateway")
    return process


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_resumed_session_is_still_the_clients(version, edge, authority, reporter):
    process = edge("optional", TRUSTED_PROXIES=None)
    visitor = Visitor(authority.certificate, version, reporter)
    first = visitor.visit(process.port, path="/mirror")
    second = visitor.visit(process.port, first.session, path="/mirror")
    assert second.is_resumed
    told = [dict(json.loads(visit.answer)).get("Client-Cert") for visit in (first, second)]
    assert told[0] and told[0] == told[1]


@pytest.mark.parametrize("settings, reason", [
    ({"TLS_CLIENT_VERIFY": "require"}, "TLS_CLIENT_VERIFY"),
    ({"TLS_CLIENT_CA": "/nonexistent.pem", "TLS_CLIENT_VERIFY": "require"}, "/nonexistent.pem cannot be read"),
], ids=["no authorities", "no file"])
def test_half_a_policy_stops_the_start(settings, reason, gateway, certificate):
    process = gateway(wait=False, TLS_CERTIFICATE=certificate.chain, TLS_KEY=certificate.key, **settings)
    assert process.wait(15) == 78
    assert reason in process.stderr
