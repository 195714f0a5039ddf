"""A broker rebuilt from the first records of a run, beside what the model was then."""

from copy import deepcopy

from qserver.broker.broker import Broker
from qserver.broker.restore import Restorer
from qserver.storage.memory import MemoryJournal, MemoryStore
from qserver.storage.record import replay
from qserver.storage.recorder import JournalRecorder
from tests.model.same import check_books, check_same
from tests.model.verbs import ModelBroker
from tests.model.world import LIMITS, World


def rebuilt(lines: list[bytes], model: ModelBroker) -> Broker:
    """A broker from these records, at the model's time."""
    store = MemoryStore()
    if lines:
        store.segments[1] = [b"".join(lines)]
    journal = MemoryJournal(store)
    broker = Broker(JournalRecorder(journal), LIMITS, now=model.now, wall=model.now + model.offset)
    restorer = Restorer(broker)
    assert replay(journal, restorer) == len(lines)
    restorer.finish(model.now)
    check_books(broker)
    return broker


def check_every_prefix(world: World) -> None:
    """Wherever the journal ends: what was there before and after that record is there."""
    alive: set[int] = set()
    told = 0
    for lines, model in world.moments:
        for end in range(told + 1, lines):
            broker = rebuilt(world.lines[:end], model)
            assert alive & model.messages.keys() <= set(broker.messages)
        restarted = deepcopy(model)
        restarted.restart()
        check_same(rebuilt(world.lines[:lines], model), restarted)
        alive, told = set(model.messages), lines
