"""Two hosts with a router between them, in network namespaces of their own, and a hand on the router.

Nothing of it is seen from outside, and nothing stays: a namespace lives as long as it is open here or something runs
in it.
"""

import contextlib
import ctypes
import os
import subprocess
import time
from pathlib import Path

from .processes import run

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_FORWARDING = "/proc/sys/net/ipv4/ip_forward"


class Unavailable(Exception):
    """Why this machine or this user cannot have networks."""


def _must(result, what):
    if result != 0:
        raise Unavailable(f"{what}: {os.strerror(ctypes.get_errno())}")


class Namespace:
    """A network of its own. In a `with` it is this thread's, and that of what the thread starts and opens meanwhile."""

    def __init__(self):
        self._before = []
        home = _current()
        try:
            _must(_libc.unshare(_CLONE_NEWNET), "unshare")
            self.descriptor = _current()
            _must(_libc.setns(home, _CLONE_NEWNET), "setns")
        finally:
            os.close(home)

    def __enter__(self):
        self._before.append(_current())
        _must(_libc.setns(self.descriptor, _CLONE_NEWNET), "setns")
        return self

    def __exit__(self, *_):
        before = self._before.pop()
        _must(_libc.setns(before, _CLONE_NEWNET), "setns")
        os.close(before)

    @property
    def path(self):
        """For programs that want it by name, while this process lives."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    def close(self):
        os.close(self.descriptor)

    def ip(self, *words):
        with self:
            run(["ip", *words])


def _current():
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


class Host(Namespace):
    """One of the two ends; its loopback works."""

    def __init__(self, address):
        super().__init__()
        self.address = address


class Network:
    """`near` and `far` see each other through a router that can be made to swallow everything, which tells nobody.

    Addresses and links stay as they are while it is cut: nothing but time says so to either end.
    """

    def __init__(self):
        with contextlib.ExitStack() as made:
            try:
                self.near, self.far = Host("10.77.1.2"), Host("10.77.2.2")
                made.callback(self.near.close)
                made.callback(self.far.close)
                self._router = Namespace()
                made.callback(self._router.close)
                self._wire()
                self.heal()
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                raise Unavailable(str(error)) from error
            self._made = made.pop_all()

    def _wire(self):
        for name, host in (("near", self.near), ("far", self.far)):
            gate = host.address.rpartition(".")[0] + ".1"
            self._router.ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", host.path)
            self._router.ip("address", "add", f"{gate}/24", "dev", name)
            self._router.ip("link", "set", name, "up")
            host.ip("link", "set", "lo", "up")
            host.ip("address", "add", f"{host.address}/24", "dev", "eth0")
            host.ip("link", "set", "eth0", "up")
            host.ip("route", "add", "default", "via", gate)

    def _forward(self, value):
        with self._router:
            Path(_FORWARDING).write_text(value)

    def cut(self):
        """From now on no packet arrives, in either direction."""
        self._forward("0")

    def heal(self):
        self._forward("1")

    @contextlib.contextmanager
    def outage(self, seconds):
        """Cut on entry; healed `seconds` later, or when the body ends if that takes longer."""
        end = time.monotonic() + seconds
        self.cut()
        try:
            yield
            time.sleep(max(0, end - time.monotonic()))
        finally:
            self.heal()

    @property
    def swallowed(self):
        """Packets that came to the router while it was cut."""
        with self._router:
            names, values = (
                line.split() for line in Path("/proc/thread-self/net/snmp").read_text().splitlines()
                if line.startswith("Ip:"))
        return int(values[names.index("InAddrErrors")])

    def close(self):
        self._made.close()
