"""Progress is sent seldom, from any thread, and the last of it always."""

import asyncio
from typing import Any

import pytest

from qclient.message import Message
from qclient.tasks import Progress
from qclient.worker.delivery import Delivery
from qclient.worker.progress import PERIOD_S, TEXT_MAX, Reporter, limited
from tests.unit.qclient.worker.fakes import delivery, message


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time is a number."""

    now = 100.0

    def time(self) -> float:
        return self.now


class Told:
    """A teller that notes what it is to send."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.sent: list[str] = []

    def report(self, given: Message[Any], progress: bytes) -> None:
        self.sent.append(f"{given.receipt} {progress.decode()}")


class Play:
    """A reporter on a loop whose time the test sets."""

    def __init__(self) -> None:
        self.loop = Clock()
        self.told = Told(self.loop)
        self.message = message(1)
        self.reporter = Reporter(self.message, self.told)

    def say(self, *fractions: float) -> None:
        for fraction in fractions:
            self.reporter.report(Progress(fraction))

    def turn(self, seconds: float = 0.0) -> None:
        """Let time pass, and what is due then happen."""
        self.loop.now += seconds
        for _ in range(3):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()


@pytest.fixture
def play() -> Any:
    made = Play()
    yield made
    made.loop.close()


def test_the_first_is_sent_at_once_and_of_one_turn_the_last(play: Play) -> None:
    play.say(0.1, 0.2, 0.3)
    play.turn()
    assert play.told.sent == ["1.1 0.3"]


def test_after_that_the_last_of_each_period_is_sent_when_the_period_ends(play: Play) -> None:
    play.say(0.1)
    play.turn()
    play.say(0.2)
    play.turn(PERIOD_S / 4)
    play.say(0.3)
    play.turn(PERIOD_S / 4)
    assert play.told.sent == ["1.1 0.1"]
    play.turn(PERIOD_S / 2)
    assert play.told.sent == ["1.1 0.1", "1.1 0.3"]
    play.say(0.4)
    play.turn(PERIOD_S / 2)
    assert play.told.sent == ["1.1 0.1", "1.1 0.3"]
    play.turn(PERIOD_S / 2)
    assert play.told.sent == ["1.1 0.1", "1.1 0.3", "1.1 0.4"]


def test_a_tight_loop_sends_two(play: Play) -> None:
    play.say(0)
    play.turn()
    play.say(*(n / 10_000 for n in range(10_000)))
    play.turn()
    play.reporter.close()
    assert play.told.sent == ["1.1 0.0", "1.1 0.9999"]


def test_what_is_left_is_sent_at_the_end_and_only_once(play: Play) -> None:
    play.say(0.1)
    play.turn()
    play.say(0.2)
    play.turn()
    play.reporter.close()
    assert play.told.sent == ["1.1 0.1", "1.1 0.2"]
    play.turn(2 * PERIOD_S)
    assert play.told.sent == ["1.1 0.1", "1.1 0.2"]


def test_an_end_in_the_very_turn_of_a_report_sends_it_first(play: Play) -> None:
    play.say(1)
    play.reporter.close()
    assert play.told.sent == ["1.1 1.0"]
    play.turn()
    assert play.told.sent == ["1.1 1.0"]


def test_an_end_with_nothing_left_sends_nothing(play: Play) -> None:
    play.say(0.1)
    play.turn()
    play.reporter.close()
    assert play.told.sent == ["1.1 0.1"]


def test_a_thread_that_reports_behind_the_end_is_not_heard(play: Play) -> None:
    play.reporter.close()
    play.say(0.1)
    play.turn(PERIOD_S)
    assert play.told.sent == []


def test_of_a_lost_message_nothing_is_told(play: Play) -> None:
    play.message.is_lost = True
    play.say(0.1)
    play.turn()
    assert play.told.sent == []


async def test_threads_can_report() -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)  # it refuses what is not safe for threads
    told = Told(loop)
    await asyncio.to_thread(Reporter(message(1), told).report, Progress(0.1))
    await asyncio.sleep(0)
    assert told.sent == ["1.1 0.1"]


def test_parts_are_brought_within_their_limits() -> None:
    assert limited(Progress(1.0000000001)) == Progress(1.0)
    assert limited(Progress(-3, "x")) == Progress(0.0, "x")
    text = "\ud800" + "x" * TEXT_MAX
    assert limited(Progress(None, text)) == Progress(None, "?" + "x" * (TEXT_MAX - 1))


async def test_a_delivery_reports_to_whoever_settles_it() -> None:
    told = Told(asyncio.get_running_loop())
    given = Delivery(message(1, _settler=told), delivery().task)
    given.progress(0.25)
    given.progress(0.5, "half")
    assert given.reporter is not None
    given.reporter.close()
    assert told.sent == ['1.1 {"fraction":0.5,"text":"half"}']
