"""TLS scanners: programs that ask a server for everything it should not do. They talk to the port under test only."""

import json
import os

from .gateway import ROOT
from .processes import run

#: Whoever lets these findings pass must say why.
ACCEPTED = {
    "engine_problem": "about openssl here, not about the server",
    "cipher_order": "every suite is good, so clients choose, as Mozilla's intermediate configuration asks for",
    "cert_revocation": "the tests' own authority has neither CRL nor OCSP",
    "HTTP_status_code": "an upgrade is asked for at /, which is not found otherwise",
    "HSTS": "the operator's to decide: middleware of the plugin kit",
}

#: What testssl.sh says when its own client has left before the ticket came, as TLS 1.3 lets it: about one time in fifty.
#: That tickets resume is proven elsewhere (test_tls_reload.py).
UNDECIDED = ("sessionresumption_ticket", "check failed because of connect problem")


def mozilla_intermediate(port, authority):
    """The exit code of sslyze and what it said: 0 if the server is what Mozilla calls intermediate."""
    done = run([
        ROOT / "scripts/pypi", "sslyze", "sslyze", "--certinfo", "--certinfo_ca_file", authority,
        "--mozilla_config", "intermediate", "--sni", "localhost", f"127.0.0.1:{port}",
    ], check=False, seconds=300)
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert "COMPLIANCE AGAINST TLS CONFIGURATION" in said, said
    return done.returncode, said[said.index("COMPLIANCE AGAINST"):]


def findings_of_testssl(port, folder, authority, *checks, seconds=120):
    """Findings of testssl.sh by their ids, as pairs of severity and text."""
    findings = folder / "findings.json"
    done = run([
        "testssl", "--quiet", "--warnings", "batch", "--color", "0", "--nodns", "none", "--ip", "127.0.0.1",
        "--openssl", "/usr/bin/openssl", "--add-ca", authority, "--jsonfile", findings, *checks,
        f"https://localhost:{port}",
    ], check=False, seconds=seconds, folder=folder, environment=dict(os.environ, TERM="dumb"))
    assert findings.exists(), (done.stdout + done.stderr).decode(errors="replace")
    found = {each["id"]: (each["severity"], each["finding"]) for each in json.loads(findings.read_text())}
    assert "scanProblem" not in found, found["scanProblem"]
    return found


def complaints(findings):
    """What somebody should do something about."""
    return {
        name: finding for name, finding in findings.items()
        if finding[0] not in ("OK", "INFO") and name not in ACCEPTED and (name, finding[1]) != UNDECIDED
    }
