"""TLS connections by Python's ssl, one request each, and what their handshakes came to."""

import hashlib
import socket
import ssl
from dataclasses import dataclass


@dataclass(frozen=True)
class Visit:
    #: SHA-256 of the certificate that was served.
    certificate: str
    is_resumed: bool
    #: To be given to the next visit of the same `Visitor`.
    session: ssl.SSLSession
    answer: bytes


class Visitor:
    """A client that keeps its tickets."""

    def __init__(self, authority, version=ssl.TLSVersion.TLSv1_3, certificate=None):
        self.context = ssl.create_default_context(cafile=authority)
        self.context.maximum_version = version
        if certificate:
            self.context.load_cert_chain(certificate.chain, certificate.key)

    def visit(self, port, session=None, path="/echo"):
        with self.connect(port, session) as secure:
            answer = request(secure, path)
            return Visit(served(secure), secure.session_reused, secure.session, answer)

    def connect(self, port, session=None):
        plain = socket.create_connection(("127.0.0.1", port), timeout=15)
        try:
            return self.context.wrap_socket(plain, server_hostname="localhost", session=session)
        except BaseException:
            plain.close()
            raise


def request(secure, path="/echo"):
    """The whole answer to a GET; with TLS 1.3 the ticket comes ahead of it."""
    secure.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _some(secure)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += _some(secure)
    assert head.startswith(b"HTTP/1.1 200 "), head
    return body


def _some(secure):
    some = secure.recv(65536)
    assert some, "the connection ended within an answer"
    return some


def served(secure):
    return hashlib.sha256(secure.getpeercert(binary_form=True)).hexdigest()


def fingerprint(certificate):
    """The same of a certificate in a file."""
    text = certificate.chain.read_text()
    end = "-----END CERTIFICATE-----"
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text[: text.index(end) + len(end)] + "\n")).hexdigest()
