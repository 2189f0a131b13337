"""What a run prints: one markdown table with its notes, and the same as JSON."""

from statistics import median


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


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


def verdict(row):
    if row.failures:
        return "failed"
    return ("yes" if median(row.ratios) <= row.work.goal else "no") if row.ratios else "-"


def line(row):
    named = row.best or row.peers[0]
    cells = [row.work.name, cost(row.ours, row.work.unit), named.name, cost(named, row.work.unit), ratio(row),
             f"≤ {row.work.goal}", verdict(row)]
    return "| " + " | ".join(cells) + " |"


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
    notes = [note for row in rows if (note := row.work.note(row))]
    notes += [f"**{row.work.name}, {side.name}: failed.** {side.failure}" for row in rows for side in row.failures]
    return "\n".join(parts + [""] + [f"- {note}" for note in notes]).rstrip()


def record(lab, rows):
    """Everything, for `--json`: every round of every side."""
    def side(one):
        return one and {"name": one.name, "samples": one.samples, "failure": one.failure, "rounds": one.details}

    return {
        "date": lab.date, "machine": lab.machine, "versions": lab.versions, "rounds": lab.rounds,
        "secondsPerRound": lab.seconds, "connections": lab.connections,
        "rows": [
            {"work": row.work.name, "unit": row.work.unit, "goal": row.work.goal, "ours": side(row.ours),
             "peers": [side(peer) for peer in row.peers], "best": row.best and row.best.name,
             "ratios": row.ratios, "met": verdict(row)}
            for row in rows
        ],
    }
