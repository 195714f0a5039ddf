"""The figures as Markdown: one table of rates and CPU, one of latencies, one of what is kept."""

from collections.abc import Callable, Sequence

from benchmarks.comparing.driving import Figures
from benchmarks.comparing.keeping import Kept
from benchmarks.comparing.plan import CLASSES, OPS
from benchmarks.comparing.race import Key, Medians

BUSY = 0.8
"""A generator that is busy for more than this part of the time may be what was measured."""


def markdown(rows: list[list[str]]) -> str:
    """A table, the first row its head; columns as wide as they need."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| "
        + " | ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True))
        + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def rates(found: Medians) -> str:
    """Thousand messages a second, and the server's CPU in microseconds a message."""

    def shown(figures: Figures) -> str:
        mark = "*" if figures.generator_share > BUSY else ""
        return f"{thousands(figures.rate)}{mark} ({figures.server_us:.1f})"

    return _by_server(found, shown, "generator", _generator)


def latencies(found: Medians) -> str:
    """Milliseconds of a batch: p50, p99, p99.9."""

    def shown(figures: Figures) -> str:
        return " / ".join(map(_ms, (figures.p50_ms, figures.p99_ms, figures.p999_ms)))

    return _by_server(found, shown)


def kept(found: Sequence[Kept]) -> str:
    """Memory of a queued message, and the time to be back."""
    head = ["class", "server", "messages", "bytes each", "starts empty", "full", "with a million"]
    rows = [
        [
            one.durability,
            one.server,
            f"{one.messages:,}",
            f"{one.bytes_each:,.0f}",
            _seconds(one.empty_start_s),
            _seconds(one.start_s) + (f", {one.lost:,} lost" if one.lost else ""),
            _seconds(one.million_s),
        ]
        for one in found
    ]
    return markdown([head, *rows])


def thousands(rate: float) -> str:
    """`0.14`, `3.4`, `117`: a rate in thousands, as exact as such figures are."""
    value = rate / 1000
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _by_server(
    found: Medians,
    shown: Callable[[Figures], str],
    last: str = "",
    of_row: Callable[[list[Figures]], str] | None = None,
) -> str:
    servers = list(dict.fromkeys(key.server for key in found))
    rows = [["class", "body", "op", "cell", *servers, *([last] if of_row else [])]]
    order = {name: at for at, name in enumerate((*CLASSES, *OPS))}
    lines = sorted(
        {(key.durability, key.body_bytes, key.op, key.cell) for key in found},
        key=lambda line: (
            order[line[0]],
            line[1],
            order[line[2]],
            line[3].connections * line[3].ahead,
        ),
    )
    for line in lines:
        figures = {server: found.get(Key(*line, server)) for server in servers}
        row = [line[0], f"{line[1]} B", line[2], str(line[3])]
        row += [shown(each) if each else "" for each in figures.values()]
        if of_row:
            row.append(of_row([each for each in figures.values() if each]))
        rows.append(row)
    return markdown(rows)


def _generator(row: list[Figures]) -> str:
    taken = [figures.generator_us for figures in row]
    return f"{min(taken):.1f} to {max(taken):.1f}"


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"
