"""benchmarks.curve: few messages against real servers, and what is skipped."""

import os
import resource
import sys

import pytest

from benchmarks import curve
from benchmarks.curve import DEEP, Load, Setting, lacks
from benchmarks.load import server

BIG = 400_000
SLOW = (
    Setting(leases=200),
    Setting(connections=60),
    Setting(body_bytes=BIG),
    Setting(first_puts=True),
)


@pytest.mark.parametrize(
    "setting",
    [
        Setting(),
        Setting(queued=0, queues=7),
        *(pytest.param(each, marks=pytest.mark.slow) for each in SLOW),
    ],
    ids=["base", "queues", "leases", "connections", "bodies", "first PUTs"],
)
def test_a_round_leaves_what_stood_there(setting: Setting) -> None:
    with server("--sync", "100ms") as running:
        load = Load(running, setting, 200)
        load.stand()
        before = running.figures()
        costs = load.round()
        after = running.figures()
    assert all(cost.cpu_us > 0 and cost.rate > 0 for cost in costs.values())
    assert int(after["puts_total"]) - int(before["puts_total"]) in (100, 200)
    for name in ("ready", "leased", "queues"):
        assert after[name] == before[name]
    assert int(after["ready"]) == setting.queued + setting.queues - 1
    assert int(after["leased"]) == setting.leases


def test_ten_million_are_only_measured_where_they_have_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deep = Setting(queued=DEEP)
    assert lacks(Setting(), deep=False, quick=True) is None
    assert lacks(deep, deep=False, quick=False) == "only with --all"
    monkeypatch.setattr(os, "sysconf", lambda _: 1 << 16)
    said = lacks(deep, deep=True, quick=False)
    assert said is not None
    assert said.startswith("4.3 GB of memory are free, it takes")


def test_connections_that_the_system_does_not_allow_are_skipped_with_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    crowd = Setting(connections=10_000)
    assert lacks(crowd, deep=False, quick=False) == "1024 open files are allowed"


def test_one_command_prints_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "--rounds 1 --messages 100 --only 1,000 10,000,000"
    monkeypatch.setattr(sys, "argv", ["curve", *words.split(), "--quick"])
    monkeypatch.setattr(curve, "ROWS", [row for row in curve.ROWS if "queued" in row.what])
    curve.main()
    said = capsys.readouterr().out
    assert "\n| 1,000 queued                 | " in said
    assert "\n| 10,000,000 queued            | skipped: not with --quick" in said
