"""What every work needs to know about this run, and what must be there before it begins."""

import datetime
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import machine
from .machine import Failure

ROOT = Path(__file__).resolve().parents[2]
LOAD_SOURCES = ROOT / "Benchmarks" / "Load"


class Lab:
    def __init__(self, options, scratch):
        self.rounds = options.rounds
        self.seconds = options.seconds
        self.warm_up = min(0.5, options.seconds)
        self.connections = options.connections
        self.sockets = options.sockets
        self.peers_only = options.peers_only
        self.scratch = Path(scratch)
        self.server_core, self.load_core = machine.two_cores()
        self.machine = machine.describe()
        self.date = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        self.gateway = program("GATEWAY_BINARY", "gateway")
        self.gateway_wrapper = []
        self.gateway_patience = 10
        self.benchload = program("BENCHLOAD_BINARY", "benchload")
        self.certificate = Certificate.make(self.scratch)
        self.versions = {
            "nginx": machine.version(["/usr/sbin/nginx", "-v"]).rpartition("/")[2],
            "haproxy": word(2, machine.version(["/usr/sbin/haproxy", "-v"])),
            "node": machine.version(["node", "--version"]),
            "ws": machine.version(["node", "-p", "require('/usr/share/nodejs/ws/package.json').version"]),
            "OpenSSL": word(1, machine.version(["openssl", "version"])),
        }

    def directory(self, name):
        return Path(tempfile.mkdtemp(prefix=name.replace(" ", "-") + ".", dir=self.scratch))

    def progress(self, text):
        print(text, file=sys.stderr, flush=True)


@dataclass
class Certificate:
    """Self-signed, ECDSA with P-256; every server shows the same one."""

    chain: Path
    key: Path
    both: Path

    @classmethod
    def make(cls, folder):
        made = cls(folder / "certificate.pem", folder / "key.pem", folder / "both.pem")
        done = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-out", made.chain, "-keyout", made.key], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"openssl makes no certificate: {done.stderr.strip()}")
        made.both.write_text(made.chain.read_text() + made.key.read_text())
        return made


def word(index, text):
    """One word of what a program says about itself, or all of it."""
    words = text.split()
    return words[index] if len(words) > index else text


def program(variable, product):
    return Path(os.environ.get(variable) or ROOT / ".build" / "release" / product).absolute()


#: The Debian package of each program, or of a file, that `Benchmarks/run` starts.
PEERS = {
    "nginx": "nginx-light", "haproxy": "haproxy", "node": "nodejs", "openssl": "openssl", "taskset": "util-linux",
    "/usr/share/nodejs/ws": "node-ws",
}


def ensure_peers(packages=PEERS):
    """Has the peers installed when one is missing."""
    def missing():
        places = os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin"
        return [name for name in packages if not (shutil.which(name, path=places) or Path(name).is_dir())]

    if not missing():
        return
    setup = ROOT / "scripts" / "setup"
    if os.access(setup, os.X_OK):
        subprocess.run([setup, "test"], check=False, stdout=sys.stderr)
    if absent := missing():
        raise Failure(f"missing: {', '.join(absent)}; apt-get install {' '.join(packages[name] for name in absent)}")


def ensure_load_generator(path):
    """Builds it when it is missing or older than its sources; one that was named is taken as it is."""
    if "BENCHLOAD_BINARY" in os.environ:
        if not os.access(path, os.X_OK):
            raise Failure(f"BENCHLOAD_BINARY names {path}, which is no program")
        return
    newest = max(source.stat().st_mtime for source in LOAD_SOURCES.glob("*.swift"))
    if path.exists() and path.stat().st_mtime >= newest:
        return
    command = ["swift", "build", "-c", "release", "--product", "benchload"]
    print(" ".join(command), file=sys.stderr, flush=True)
    if subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode != 0:
        raise Failure("the load generator did not build")
    path.touch()  # a build that found nothing to do leaves the old date
