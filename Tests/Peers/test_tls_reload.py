"""Certificates and ticket keys that change while the gateway runs: nobody who is connected notices."""

import os
import shutil
import signal
import ssl
import threading

import pytest
import websocket
from harness import tokens
from harness.handshakes import Visitor, fingerprint, request, served
from harness.waiting import until

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


class Files:
    """Chain and key where the gateway reads them: plain files, put in place as certbot does, by renaming."""

    def __init__(self, folder, certificate):
        self.folder = folder
        folder.mkdir()
        self.install(certificate)

    @property
    def settings(self):
        return {"TLS_CERTIFICATE": self.folder / "tls.crt", "TLS_KEY": self.folder / "tls.key"}

    def install(self, certificate):
        self.put("tls.crt", certificate.chain.read_bytes())
        self.put("tls.key", certificate.key.read_bytes())

    def put(self, name, content):
        fresh = self.folder / f"{name}.new"
        fresh.write_bytes(content)
        os.replace(fresh, self.folder / name)


class Secret(Files):
    """The same as Kubernetes mounts it: files are links into `..data`, which is a link that is switched as a whole."""

    count = 0

    def install(self, certificate):
        self.count += 1
        version = self.folder / f"..version{self.count}"
        version.mkdir()
        shutil.copy(certificate.chain, version / "tls.crt")
        shutil.copy(certificate.key, version / "tls.key")
        (self.folder / "..fresh").symlink_to(version.name)
        os.replace(self.folder / "..fresh", self.folder / "..data")
        for name in ("tls.crt", "tls.key"):
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")


class Load(threading.Thread):
    """Asks on and on, on one connection and on fresh ones in turn, until it is stopped; any failure is kept."""

    def __init__(self, port, authority):
        super().__init__()
        self.port, self.visitor = port, Visitor(authority)
        self.answered, self.seen, self.failure = 0, set(), None
        self.stopping = threading.Event()

    def run(self):
        try:
            with self.visitor.connect(self.port) as kept:
                while not self.stopping.is_set():
                    assert request(kept) == b"ok"
                    visit = self.visitor.visit(self.port)
                    assert visit.answer == b"ok"
                    self.seen.add(visit.certificate)
                    self.answered += 2
        except Exception as failure:
            self.failure = failure

    def reaches(self, count):
        return self.failure is not None or self.answered >= count


@pytest.fixture
def certificates(authority, tmp_path):
    """Three for the same name."""
    folders = [tmp_path / f"issued{number}" for number in range(3)]
    for folder in folders:
        folder.mkdir()
    return [authority.issue("localhost", "127.0.0.1", folder=folder) for folder in folders]


@pytest.mark.parametrize("kind, by_signal", [(Files, True), (Files, False), (Secret, False)],
                         ids=["SIGHUP", "renamed files", "Kubernetes secret"])
def test_certificates_change_under_load_and_nothing_is_lost(
    kind, by_signal, gateway, certificates, authority, tmp_path
):
    files = kind(tmp_path / "mounted", certificates[0])
    edge = gateway(LOOPS=2, TLS_RELOAD_INTERVAL="0" if by_signal else "100ms", **files.settings)
    chatter = websocket.create_connection(
        f"{edge.websocket_origin}/echo?token={tokens.mint()}", timeout=15, sslopt={"ca_certs": authority.certificate})
    loads = [Load(edge.port, authority.certificate) for _ in range(3)]
    for load in loads:
        load.start()
    try:
        for certificate in certificates[1:]:
            files.install(certificate)
            if by_signal:
                edge.popen.send_signal(signal.SIGHUP)
            until(lambda: any(load.failure for load in loads)
                  or all(fingerprint(certificate) in load.seen for load in loads), "the new certificate")
            for load in loads:
                until(lambda goal=load.answered + 20: load.reaches(goal), "more answers")
            chatter.send("still here")
            assert chatter.recv() == "still here"
    finally:
        for load in loads:
            load.stopping.set()
        for load in loads:
            load.join(30)
        chatter.close()
    assert [load.failure for load in loads] == [None] * 3
    assert edge.total("gateway_tls_reloads_total", result="ok") == 2
    assert edge.total("gateway_tls_reloads_total", result="failed") == 0
    assert edge.total("gateway_tls_failures_total") == 0
    # Every loop has the last one by now.
    assert Visitor(authority.certificate).visit(edge.port).certificate == fingerprint(certificates[2])


def test_files_that_do_not_fit_change_nothing_and_are_told(gateway, certificates, authority, tmp_path):
    files = Files(tmp_path / "mounted", certificates[0])
    edge = gateway(TLS_RELOAD_INTERVAL="0", **files.settings)
    visitor = Visitor(authority.certificate)
    for number, (name, content) in enumerate([
        ("tls.crt", b"nonsense"), ("tls.crt", certificates[1].chain.read_bytes()), ("tls.key", b""),
    ], 1):
        files.put(name, content)
        edge.popen.send_signal(signal.SIGHUP)
        until(lambda: edge.total("gateway_tls_reloads_total", result="failed") == number, "the failed reload")
        assert visitor.visit(edge.port).certificate == fingerprint(certificates[0])
    assert "does not belong to the first certificate" in edge.stdout
    files.install(certificates[2])
    edge.popen.send_signal(signal.SIGHUP)
    until(lambda: edge.total("gateway_tls_reloads_total", result="ok") == 1, "the reload")
    assert visitor.visit(edge.port).certificate == fingerprint(certificates[2])


def test_a_chain_ahead_of_its_key_is_waited_for(gateway, certificates, authority, tmp_path):
    files = Files(tmp_path / "mounted", certificates[0])
    edge = gateway(TLS_RELOAD_INTERVAL="100ms", **files.settings)
    visitor = Visitor(authority.certificate)
    files.put("tls.crt", certificates[1].chain.read_bytes())
    # Long enough to be an error that somebody should hear of.
    until(lambda: edge.total("gateway_tls_reloads_total", result="failed") == 1, "the error")
    assert visitor.visit(edge.port).certificate == fingerprint(certificates[0])
    files.put("tls.key", certificates[1].key.read_bytes())
    until(lambda: visitor.visit(edge.port).certificate == fingerprint(certificates[1]), "the new certificate")
    assert edge.stdout.count("certificates could not be read again") == 1


@VERSIONS
def test_tickets_outlive_a_reload_and_rotations(version, gateway, certificates, authority, tmp_path):
    files = Files(tmp_path / "mounted", certificates[0])
    edge = gateway(LOOPS=2, TLS_TICKET_ROTATION="1s", **files.settings)
    visitor = Visitor(authority.certificate, version)
    first = visitor.visit(edge.port)
    assert not first.is_resumed
    assert visitor.visit(edge.port, first.session).is_resumed
    edge.popen.send_signal(signal.SIGHUP)
    until(lambda: edge.total("gateway_tls_reloads_total", result="ok") == 1, "the reload")
    assert visitor.visit(edge.port, first.session).is_resumed
    until(lambda: edge.stdout.count("ticket key rotated") >= 2, "two rotations")
    second = visitor.visit(edge.port, first.session)
    assert second.is_resumed
    assert visitor.visit(edge.port, second.session).is_resumed
    assert edge.total("gateway_tls_handshakes_total", kind="resumed") == 4


@VERSIONS
def test_replicas_resume_each_others_sessions(version, gateway, certificate, authority, tmp_path):
    newest, older = tmp_path / "newest.key", tmp_path / "older.key"
    newest.write_bytes(os.urandom(80))
    older.write_bytes(os.urandom(80))
    settings = {"TLS_CERTIFICATE": certificate.chain, "TLS_KEY": certificate.key, "TLS_RELOAD_INTERVAL": "0"}
    one, two = (gateway(TLS_TICKET_KEYS_FILE=f"{newest},{older}", **settings) for _ in range(2))
    stranger = gateway(**settings)
    visitor = Visitor(authority.certificate, version)

    ticket = visitor.visit(one.port).session
    assert visitor.visit(two.port, ticket).is_resumed
    assert not visitor.visit(stranger.port, ticket).is_resumed

    # The keys move on, on one replica first: its tickets mean a full handshake at the other until that follows.
    older.write_bytes(newest.read_bytes())
    newest.write_bytes(os.urandom(80))
    reload(one, 1)
    renewed = visitor.visit(one.port, ticket)
    assert renewed.is_resumed
    assert not visitor.visit(two.port, renewed.session).is_resumed
    reload(two, 1)
    assert visitor.visit(two.port, renewed.session).is_resumed
    assert visitor.visit(two.port, ticket).is_resumed

    # A second time, and the first key is gone everywhere.
    older.write_bytes(newest.read_bytes())
    newest.write_bytes(os.urandom(80))
    reload(one, 2)
    assert not visitor.visit(one.port, ticket).is_resumed
    assert visitor.visit(one.port, renewed.session).is_resumed


def reload(edge, count):
    edge.popen.send_signal(signal.SIGHUP)
    until(lambda: edge.total("gateway_tls_reloads_total", result="ok") == count, "the reload")


def test_a_key_file_of_another_length_stops_the_start(gateway, certificate, tmp_path):
    short = tmp_path / "short.key"
    short.write_bytes(os.urandom(48))
    edge = gateway(
        wait=False, TLS_CERTIFICATE=certificate.chain, TLS_KEY=certificate.key, TLS_TICKET_KEYS_FILE=short)
    assert edge.wait(15) == 78
    assert f"ticket key {short}: not exactly 80 bytes" in edge.stderr


def test_an_open_connection_keeps_the_certificate_it_began_with(gateway, certificates, authority, tmp_path):
    files = Files(tmp_path / "mounted", certificates[0])
    edge = gateway(TLS_RELOAD_INTERVAL="0", **files.settings)
    with Visitor(authority.certificate).connect(edge.port) as kept:
        files.install(certificates[1])
        reload(edge, 1)
        for _ in range(5):
            assert request(kept) == b"ok"
        assert served(kept) == fingerprint(certificates[0])
