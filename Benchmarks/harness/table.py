"""What a run prints: one markdown table with its notes, and the same as JSON."""

from statistics import median

from .works import CIPHER


def number(value):
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def cost(side, unit):
    if side is None:
        return "-"
    if side.failure or not side.samples:
        return "failed"
    return f"{number(side.middle)} {unit}"


def ratio(row):
    ratios = row.ratios
    if not ratios:
        return "-"
    return f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def goal(row):
    if row.goal is None:
        return "stated"
    return f"≤ {row.goal} {row.work.unit}" if row.is_absolute else f"≤ {row.goal}"


def verdict(row):
    if row.failures:
        return "failed"
    if row.is_absolute:
        reached = row.ours.middle if row.ours and row.ours.samples else None
    else:
        reached = median(row.ratios) if row.ratios else None
    if row.goal is None or reached is None:
        return "-"
    return "yes" if reached <= row.goal else "no"


def line(row):
    named = row.best or next(iter(row.peers), None)
    cells = [row.name, cost(row.ours, row.work.unit), named.name if named else "-", cost(named, row.work.unit),
             ratio(row), goal(row), verdict(row)]
    return "| " + " | ".join(cells) + " |"


def others(row):
    """What the peers cost that are not in the row; None if there are none."""
    if len(row.peers) < 2:
        return None
    return f"{row.name}: " + ", ".join(f"{peer.name} {cost(peer, row.work.unit)}" for peer in row.peers)


def filled(lab, works):
    """Runs works one after the other and prints the table: of those that were over, if the run is broken off."""
    rows = []
    try:
        for work in works:
            rows += work.run(lab)
    finally:
        print(markdown(lab, rows))
    return rows


def markdown(lab, rows):
    parts = [
        f"{lab.machine}; server on core {lab.server_core}, load on core {lab.load_core}",
        f"{lab.rounds} interleaved rounds of {lab.seconds:g} s, {lab.connections} connections; "
        + ", ".join(f"{name} {version}" for name, version in lab.versions.items()),
        "",
        "| work | ours | peer | peer's | ratio, median (min–max) | goal | met |",
        "|---|---|---|---|---|---|---|",
        *map(line, rows),
    ]
    notes = [note for row in rows for note in (row.work.note(row), others(row)) if note]
    notes += [CIPHER for row in rows if getattr(row.work.ours, "tls", False)]
    notes += [f"**{row.work.name}, {side.name}: failed.** {side.failure}" for row in rows for side in row.failures]
    # Rows of one work share its notes and its failures.
    return "\n".join(parts + [""] + [f"- {note}" for note in dict.fromkeys(notes)]).rstrip()


def record(lab, rows):
    """Everything, for `--json`: every round of every side."""
    def side(one):
        return one and {"name": one.name, "samples": one.samples, "failure": one.failure, "rounds": one.details}

    return {
        "date": lab.date, "machine": lab.machine, "versions": lab.versions, "rounds": lab.rounds,
        "secondsPerRound": lab.seconds, "connections": lab.connections,
        "rows": [
            {"work": row.name, "unit": row.work.unit, "goal": row.goal, "ours": side(row.ours),
             "peers": [side(peer) for peer in row.peers], "best": row.best and row.best.name,
             "ratios": row.ratios, "met": verdict(row)}
            for row in rows
        ],
    }
