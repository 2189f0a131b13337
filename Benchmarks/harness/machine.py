"""What is read from the kernel: cores, ports, CPU time and memory of a process and its children."""

import os
import platform
import resource
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path


class Failure(Exception):
    """Why something could not be measured; one sentence that ends up under the table."""


def two_cores():
    """The core for servers and the core for load, of those this process may use."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Failure("two cores are needed: one for the server, one for the load")
    return cores[0], cores[1]


@contextmanager
def on_core(core):
    """Keeps this thread, and what it starts, on one core; a program started with taskset goes where that says."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def raise_descriptor_limit():
    """Servers inherit it; each side of 10,000 sockets is a process of its own."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def family(pid):
    """The process and all its descendants: nginx works in children."""
    children = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name in parentheses may hold anything, so fields are counted after the last one.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.name))
    members, waiting = [], [pid]
    while waiting:
        member = waiting.pop()
        members.append(member)
        waiting += children.get(member, [])
    return members


def cpu_time(pid):
    """Nanoseconds on a CPU of each thread of the family, by (pid, tid), from schedstat."""
    times = {}
    for member in family(pid):
        for task in Path(f"/proc/{member}/task").iterdir():
            times[member, int(task.name)] = int((task / "schedstat").read_text().split()[0])
    return times


def cpu_spent(before, after):
    """Nanoseconds between two readings. A thread that ended took its count with it, so that is a failure."""
    gone = before.keys() - after.keys()
    if gone:
        raise Failure(f"{len(gone)} threads of the server ended during a round; its CPU time is not known")
    return sum(time - before.get(task, 0) for task, time in after.items())


def anonymous_memory(pid):
    """Bytes of Pss_Anon of the family: heap and stacks, without mapped files, shared pages counted once."""
    total = 0
    for member in family(pid):
        for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss_Anon:"):
                total += int(line.split()[1]) * 1024
                break
        else:
            raise Failure("the kernel does not report Pss_Anon (5.5 or later is needed)")
    return total


def resident_memory(pid):
    """Bytes of VmRSS of the process: what `ps` shows, code and files of the system's libraries included."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise Failure("the kernel does not report VmRSS")


def describe():
    """One line for the head of the table."""
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}"


def version(command):
    """The first line that a program prints about itself, on either stream."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "missing"
    return (done.stdout + done.stderr).strip().partition("\n")[0] or "unknown"
