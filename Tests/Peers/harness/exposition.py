"""A small reader of the Prometheus text format 0.0.4, strict where a scraper would be."""

import re
from dataclasses import dataclass, field

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')
_TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}


@dataclass
class Family:
    kind: str = "untyped"
    help: str = ""
    #: (name, labels as a sorted tuple of pairs, value)
    samples: list = field(default_factory=list)


def parse(text):
    """Families by name. Raises `AssertionError` on the first line that a scraper would refuse."""
    assert text.endswith("\n"), "the last line has no line feed"
    families = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if line.startswith("#"):
            _comment(line, families)
        else:
            name, labels, value = _sample(line, number)
            families.setdefault(_family_of(name, families), Family()).samples.append((name, labels, value))
    for name, family in families.items():
        _check(name, family)
    return families


def total(families, name, **labels):
    """The sum of the samples called `name` whose labels include `labels`; 0 if there is none."""
    wanted = set(labels.items())
    return sum(
        value
        for family in families.values()
        for sample, pairs, value in family.samples
        if sample == name and wanted <= set(pairs)
    )


def _comment(line, families):
    words = line.split(" ", 3)
    if len(words) < 3 or words[1] not in ("HELP", "TYPE"):
        return
    family = families.setdefault(words[2], Family())
    if words[1] == "HELP":
        family.help = words[3] if len(words) > 3 else ""
    else:
        assert words[3] in _TYPES, f"{words[2]}: unknown type {words[3]}"
        assert not family.samples, f"{words[2]}: TYPE after its samples"
        family.kind = words[3]


def _sample(line, number):
    name = _NAME.match(line)
    assert name, f"line {number}: no metric name: {line!r}"
    place, labels = name.end(), []
    if line[place : place + 1] == "{":
        place += 1
        while line[place : place + 1] != "}":
            label = _LABEL.match(line, place)
            assert label, f"line {number}: bad label: {line[place:]!r}"
            labels.append((label[1], label[2]))
            place = label.end() + (line[label.end() : label.end() + 1] == ",")
        place += 1
    words = line[place:].split()
    assert line[place : place + 1] == " " and len(words) in (1, 2), f"line {number}: bad value: {line!r}"
    assert len({key for key, _ in labels}) == len(labels), f"line {number}: a label twice"
    return name[0], tuple(sorted(labels)), float(words[0])


def _family_of(sample, families):
    for suffix in ("_bucket", "_sum", "_count"):
        base = sample.removesuffix(suffix)
        if base != sample and base in families and families[base].kind in ("histogram", "summary"):
            return base
    return sample


def _check(name, family):
    assert family.help, f"{name}: no HELP"
    keys = [(sample, labels) for sample, labels, _ in family.samples]
    assert len(keys) == len(set(keys)), f"{name}: a sample twice"
    if family.kind == "counter":
        assert all(value >= 0 for _, _, value in family.samples), f"{name}: a negative counter"
    if family.kind == "histogram":
        _check_histogram(name, family)


def _check_histogram(name, family):
    series = {}
    for sample, labels, value in family.samples:
        rest = tuple(pair for pair in labels if pair[0] != "le")
        parts = series.setdefault(rest, {"buckets": [], "count": None})
        if sample == f"{name}_bucket":
            parts["buckets"].append((float(dict(labels)["le"]), value))
        elif sample == f"{name}_count":
            parts["count"] = value
    for labels, parts in series.items():
        counts = [value for _, value in sorted(parts["buckets"])]
        assert counts and counts == sorted(counts), f"{name}{labels}: buckets are not cumulative"
        assert sorted(parts["buckets"])[-1][0] == float("inf"), f"{name}{labels}: no +Inf bucket"
        assert counts[-1] == parts["count"], f"{name}{labels}: +Inf is not the count"
