"""The figures of STATS and LIST as metrics for Prometheus.

    qserver_up                              1, or 0 where the server does not answer
    qserver_info{server,build,sync}         1
    qserver_messages{state}                 of all queues
    qserver_puts_total …                    every figure of STATS that counts
    qserver_uptime_seconds …                every other figure of STATS that is a number
    qserver_disk_has_room                   1, or 0 while PUTs are refused
    qserver_storage_failed                  1 once the journal says why it can't be written
    qserver_queue_messages{queue,state}     of a queue, the first thousand by name
    qserver_queue_bytes{queue}
    qserver_queue_oldest_seconds{queue}     age of the oldest ready message; 0 without one
    qserver_queue_waiting{queue}            GETs that wait for it
    qserver_queue_paused{queue}             1, or 0
    qserver_queues_not_shown                how many queues are past the first thousand

Times are in seconds, as Prometheus has them, whatever STATS says.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from qclient.overview import Figures
from qclient.queues import STATES
from qclient.reports import Queue

_MS: Final = re.compile(r"_ms(?=_|$)")
_SECONDS: Final = re.compile(r"_s$")


def encoded(families: Iterable[Metric], accept: str) -> tuple[bytes, str]:
    """The text of these metrics, in the newest form that the asker takes; and its type."""
    encode, content_type = choose_encoder(accept)
    return encode(_Registry(families)), content_type


class _Registry:
    """What the library encodes: all it needs is this."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def up(is_up: bool) -> Metric:  # noqa: FBT001  it is the value
    """Whether the server answers."""
    return GaugeMetricFamily("qserver_up", "Whether the server answers.", float(is_up))


def of_server(figures: Figures, server: str) -> Iterator[Metric]:
    """STATS, and who answered it."""
    info = GaugeMetricFamily("qserver_info", "What runs there.", labels=("server", "build", "sync"))
    info.add_metric([server, str(figures.get("build", "")), str(figures.get("sync", ""))], 1)
    yield info
    messages = GaugeMetricFamily("qserver_messages", "Messages of all queues.", labels=("state",))
    for state in STATES:
        messages.add_metric([state], _number(figures.get(state)))
    yield messages
    has_room = figures.get("disk_room") != "no"
    yield GaugeMetricFamily("qserver_disk_has_room", "Whether PUTs find room.", float(has_room))
    failed = bool(figures.get("storage_error"))
    yield GaugeMetricFamily("qserver_storage_failed", "Whether the journal failed.", float(failed))
    for name, value in figures.items():
        if name not in (*STATES, "messages") and not isinstance(value, str):
            yield _family(name, value)


def _family(name: str, value: float) -> Metric:
    says = f"STATS: {name}."
    if _MS.search(name):
        name, value = _MS.sub("_seconds", name), value / 1000
    name = _SECONDS.sub("_seconds", name)
    if name.endswith("_total"):
        return CounterMetricFamily(f"qserver_{name}", says, value)
    return GaugeMetricFamily(f"qserver_{name}", says, value)


def of_queues(queues: list[Queue], all_queues: int) -> Iterator[Metric]:
    """These queues, of so many."""
    one = ("queue",)
    messages = GaugeMetricFamily(
        "qserver_queue_messages", "Messages of a queue.", labels=("queue", "state")
    )
    size = GaugeMetricFamily("qserver_queue_bytes", "Bytes of its bodies.", labels=one)
    oldest = GaugeMetricFamily(
        "qserver_queue_oldest_seconds", "Age of the oldest ready message.", labels=one
    )
    waiting = GaugeMetricFamily("qserver_queue_waiting", "GETs that wait for it.", labels=one)
    paused = GaugeMetricFamily("qserver_queue_paused", "Whether it is paused.", labels=one)
    for queue in queues:
        for state in STATES:
            messages.add_metric([queue.name, state], getattr(queue, state))
        size.add_metric([queue.name], queue.bytes)
        if queue.oldest_s is not None:
            oldest.add_metric([queue.name], queue.oldest_s)
        waiting.add_metric([queue.name], queue.waiting)
        paused.add_metric([queue.name], float(queue.is_paused))
    yield from (messages, size, oldest, waiting, paused)
    yield GaugeMetricFamily(
        "qserver_queues_not_shown", "Queues without metrics.", max(all_queues - len(queues), 0)
    )


def _number(value: float | str | None) -> float:
    return value if isinstance(value, int | float) else 0.0
