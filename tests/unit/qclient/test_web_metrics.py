"""STATS and LIST as metrics."""

import pytest

from qclient.overview import Figures
from qclient.reports import queue
from qclient.web import metrics

FIGURES: Figures = {
    "build": "plain",
    "sync": "100ms",
    "uptime_s": 12.5,
    "turn_ms_max": 4,
    "last_sync_ms": 0.25,
    "disk_room": "yes",
    "storage_error": "",
    "puts_total": 7,
    "queues": 3,
    "messages": 5,
    "ready": 4,
    "dead": 1,
}
QUEUES = [
    queue("a", {"ready": "4", "bytes": "10", "oldest": "2.5", "waiting": "1"}),
    queue("b", {"dead": "1", "paused": "yes"}),
]


def text(figures: Figures = FIGURES, accept: str = "") -> list[str]:
    families = [metrics.up(is_up=True), *metrics.of_server(figures, "qserver/1")]
    families += metrics.of_queues(QUEUES, 3)
    return metrics.encoded(families, accept)[0].decode().splitlines()


@pytest.mark.parametrize(
    "line",
    [
        "qserver_up 1.0",
        'qserver_info{build="plain",server="qserver/1",sync="100ms"} 1.0',
        'qserver_messages{state="ready"} 4.0',
        'qserver_messages{state="leased"} 0.0',
        "qserver_disk_has_room 1.0",
        "qserver_storage_failed 0.0",
        "qserver_uptime_seconds 12.5",
        "qserver_turn_seconds_max 0.004",
        "qserver_last_sync_seconds 0.00025",
        "# TYPE qserver_puts_total counter",
        "qserver_puts_total 7.0",
        "# TYPE qserver_queues gauge",
        "qserver_queues 3.0",
        'qserver_queue_messages{queue="a",state="ready"} 4.0',
        'qserver_queue_messages{queue="b",state="dead"} 1.0',
        'qserver_queue_bytes{queue="a"} 10.0',
        'qserver_queue_oldest_seconds{queue="a"} 2.5',
        'qserver_queue_waiting{queue="a"} 1.0',
        'qserver_queue_paused{queue="b"} 1.0',
        "qserver_queues_not_shown 1.0",
    ],
)
def test_a_figure_is_told_in_base_units_and_by_its_kind(line: str) -> None:
    assert line in text()


def test_a_figure_is_told_once() -> None:
    names = [line.split("{")[0].split()[0] for line in text() if line[0] != "#"]
    plain = [name for name in names if name != "qserver_messages" and "_queue_" not in name]
    assert sorted(set(plain)) == sorted(plain)
    assert "qserver_ready" not in names


def test_trouble_is_a_number_to_alert_on() -> None:
    lines = text({**FIGURES, "disk_room": "no", "storage_error": "sync: EIO"})
    assert "qserver_disk_has_room 0.0" in lines
    assert "qserver_storage_failed 1.0" in lines


def test_who_asks_for_openmetrics_gets_it() -> None:
    assert text(accept="application/openmetrics-text; version=1.0.0")[-1] == "# EOF"
