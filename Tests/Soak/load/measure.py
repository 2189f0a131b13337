"""What the kernel knows about a process, and the little arithmetic on it."""

import os
import resource
from dataclasses import dataclass
from pathlib import Path


def raise_descriptor_limit():
    """To the hard limit, for this process and those it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@dataclass(frozen=True)
class Usage:
    """Memory in bytes, time in seconds on a CPU since the start, all threads together."""

    rss: int
    anonymous: int
    descriptors: int
    cpu: float


def usage(pid):
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split()[:2]
        fields[name] = int(value) << 10
    tasks = Path(f"/proc/{pid}/task").iterdir()
    nanoseconds = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
    return Usage(fields["Rss:"], fields["Pss_Anon:"], len(os.listdir(f"/proc/{pid}/fd")), nanoseconds / 1e9)


def slope(points):
    """Least squares through (x, y): how much y grows for each x. 0 for fewer than two."""
    if len(points) < 2:
        return 0.0
    x_mean = sum(x for x, _ in points) / len(points)
    y_mean = sum(y for _, y in points) / len(points)
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    return sum((x - x_mean) * (y - y_mean) for x, y in points) / spread if spread else 0.0


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def median(values):
    return percentile(sorted(values), 0.5)


def table(heads, rows):
    """Columns as wide as they need to be; the first to the left, figures to the right."""
    cells = [[str(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for row in cells:
        first, *rest = (cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(zip(row, widths)))
        print("  ".join((first, *rest)).rstrip(), flush=True)


def mebibytes(count):
    return f"{count / (1 << 20):.1f}"
