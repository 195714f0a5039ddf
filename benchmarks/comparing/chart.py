"""The rates as a picture: a panel for each operation and class, a dot for each server."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from benchmarks.comparing.plan import CLASSES, OPS
from benchmarks.comparing.race import Key, Medians
from benchmarks.comparing.report import Report

COLOURS: Final = {
    "qserver": "#4269d0",
    "qserver (compiled)": "#1f3a93",
    "beanstalkd": "#efb118",
    "redis": "#ff725c",
    "nats": "#6cc5b0",
    "echo": "#c8c8c8",
}
TITLES: Final = {
    "none": "nothing on disk",
    "interval": "synced at intervals",
    "always": "synced before every reply",
}


def check(path: Path) -> None:
    """Say before an hour of measuring that it could not be drawn.

    Raises:
        SystemExit: with what is missing.
    """
    if find_spec("matplotlib") is None:
        raise SystemExit("a chart needs matplotlib: pip install -e '.[bench]'")
    if path.suffix not in (".svg", ".png"):
        raise SystemExit(f"{path} is neither .svg nor .png")


def draw(report: Report, path: Path) -> None:
    """Of the smallest bodies that were measured; thousand messages a second, logarithmic."""
    from matplotlib.figure import Figure

    found = report.medians()
    size = min(key.body_bytes for key in found)
    ops = [op for op in OPS if any(key.op == op for key in found)]
    classes = [name for name in CLASSES if any(key.durability == name for key in found)]
    figure = Figure(figsize=(1 + 4 * len(classes), 1 + 2.4 * len(ops)), layout="constrained")
    panels = figure.subplots(len(ops), len(classes), squeeze=False, sharex=True, sharey="row")
    for row, op in zip(panels, ops, strict=True):
        row[0].set_ylabel(f"{op}, thousand/s")
        for panel, durability in zip(row, classes, strict=True):
            _dots(panel, found, durability, size, op)
            if op == ops[0]:
                panel.set_title(TITLES[durability], fontsize=10)
    shown = {
        label: handle
        for panel in panels.flat
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=6, frameon=False)
    figure.suptitle(f"Messages of {size} B, by connections x messages in flight on each")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=150)


def _dots(panel: Any, found: Medians, durability: str, size: int, op: str) -> None:
    # Dots, not bars: a logarithmic axis has no foot for a bar to stand on.
    cells = sorted({key.cell for key in found}, key=lambda cell: cell.connections * cell.ahead)
    servers = list(dict.fromkeys(key.server for key in found if key.durability == durability))
    step = 0.6 / max(1, len(servers))
    for number, server in enumerate(servers):
        rates = [_rate(found, Key(durability, size, op, cell, server)) for cell in cells]
        at = [place + step * (number - (len(servers) - 1) / 2) for place in range(len(cells))]
        panel.plot(at, rates, "o", label=server, color=COLOURS.get(server))
    panel.set_xticks(range(len(cells)), [str(cell) for cell in cells])
    panel.set_yscale("log")
    panel.yaxis.set_major_formatter("{x:g}")
    panel.grid(axis="y", linewidth=0.4)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _rate(found: Medians, key: Key) -> float:
    figures = found.get(key)
    return figures.rate / 1000 if figures else float("nan")
