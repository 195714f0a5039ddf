"""A process that is a worker: an app found by name, a banner, logs, signals."""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path

import uvloop

from qclient.errors import BadRequest
from qclient.tasks.app import App
from qclient.worker.logs import set_up
from qclient.worker.settings import Settings
from qclient.worker.signals import stopping_on_signals
from qclient.worker.worker import Worker


def work(where: str, url: str, settings: Settings, log_level: str) -> None:
    """Run the app that `where` names until it is stopped.

    Raises:
        BadRequest: there is no such app, or a setting makes no sense.
        CannotConnect: no server answers.
    """
    app = load(where)
    set_up(log_level)
    uvloop.run(_work(app, where, url, settings))


async def _work(app: App, where: str, url: str, settings: Settings) -> None:
    worker = Worker(app, url, settings)
    sys.stderr.write(banner(worker, where))
    with stopping_on_signals(worker):
        await worker.run()


def load(where: str) -> App:
    """The app that `module:name` names; the current directory is looked in first."""
    module, _, name = where.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module + ".").startswith(error.name + "."):
            raise  # the module is there, but not one that it imports
        raise BadRequest(f"there is no module {module!r}") from None
    app = getattr(found, name or "app", None)
    if not isinstance(app, App):
        raise BadRequest(f"{module!r} has no App called {name or 'app'!r}")
    return app


def parse_queues(words: tuple[str, ...]) -> tuple[str, ...] | dict[str, int]:
    """Queues in order, or with weights where one has a weight; the others weigh 1."""
    parted = [word.rpartition(":") for word in words]
    weighted = {name: int(weight) for name, _, weight in parted if name and weight.isdecimal()}
    if not weighted:
        return words
    return {
        (name if name and weight.isdecimal() else word): weighted.get(name, 1)
        for word, (name, _, weight) in zip(words, parted, strict=True)
    }


def banner(worker: Worker, where: str) -> str:
    """What is about to run, for people: tasks, queues, settings."""
    app, settings = worker.app, worker.settings
    is_weighted = isinstance(settings.queues, Mapping)
    queues = ", ".join(
        f"{name} (weight {weight})" if is_weighted else name
        for name, weight in worker.weights.items()
    )
    middleware = [getattr(each, "__name__", type(each).__name__) for each in worker.middleware]
    prefetch = "auto" if settings.prefetch is None else settings.prefetch
    lines = [
        f"qclient worker: {where} at {worker.url}",
        f"  session     {worker.session}, kept for {settings.session_grace_s:g} s",
        f"  queues      {queues}",
        f"  places      {settings.concurrency}, prefetch {prefetch}",
        f"  leases      {settings.lease_s:g} s, renewed every {settings.lease_s / 3:g} s",
        f"  stop        {settings.grace_s:g} s for running tasks",
        f"  middleware  {', '.join(middleware) or 'none'}",
        "  tasks",
    ]
    width = max((len(name) for name in app.tasks), default=0)
    for name, task in app.tasks.items():
        rules = task.rules
        limit = "no timeout" if rules.timeout_s is None else f"timeout {rules.timeout_s:g} s"
        lines.append(
            f"    {name:<{width}}  {task.queue}, {rules.where}, {limit}, "
            f"{rules.max_attempts} attempts"
        )
    return "\n".join(lines) + "\n"
