"""A certificate authority of our own, made by openssl, that every client here is told to trust."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from .processes import run


@dataclass(frozen=True)
class Certificate:
    chain: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    folder: Path
    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder):
        authority = cls(folder, folder / "authority.pem", folder / "authority.key")
        run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "100",
            "-keyout", authority.key, "-out", authority.certificate, "-subj", "/CN=Test authority",
            "-addext", "keyUsage=critical,keyCertSign", "-addext", "basicConstraints=critical,CA:true",
        ])
        return authority

    @property
    def context(self):
        """For a client of Python's that trusts it."""
        return ssl.create_default_context(cafile=self.certificate)

    def issue(self, name, *names, usage="serverAuth", days=2, folder=None):
        """A certificate for `name` and the other `names`: host names or IPv4 addresses."""
        key, request, chain = ((folder or self.folder) / f"{name}.{kind}" for kind in ("key", "csr", "pem"))
        run([
            "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", key, "-out", request, "-subj", f"/CN={name}",
        ])
        kinds = ["IP" if each.replace(".", "").isdigit() else "DNS" for each in (name, *names)]
        alternatives = ",".join(f"{kind}:{each}" for kind, each in zip(kinds, (name, *names)))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternatives}\nextendedKeyUsage={usage}\n")
        run([
            "openssl", "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-days", days,
            "-extfile", extensions, "-out", chain,
        ])
        return Certificate(chain, key)
