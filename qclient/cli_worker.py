"""`qclient worker`: runs the tasks of an app."""

import sys
from typing import Any, Final

import click

from qclient.cli_context import Context, Refused, pass_context, seconds


@click.command()
@click.argument("where", metavar="MODULE:APP", required=False)
@click.option(
    "-q",
    "--queue",
    "queues",
    multiple=True,
    metavar="NAME[:WEIGHT]",
    help="What to take from, the first emptied first; with weights, each comes first that often. "
    "All queues of the app's tasks by default.",
)
@click.option("-c", "--concurrency", type=click.IntRange(1), help="Tasks that run at once; 100.")
@click.option(
    "--prefetch",
    type=click.IntRange(0),
    help="Messages that may wait here for a place; as many as will have one soon by default.",
)
@click.option(
    "--lease", "lease_s", type=seconds, help="How long a message is held without a renewal; 15 s."
)
@click.option(
    "--session-grace",
    "session_grace_s",
    type=seconds,
    help="How long a worker that is gone keeps its messages; 5 s.",
)
@click.option(
    "--grace",
    "grace_s",
    type=seconds,
    help="What running tasks get when the worker stops; 25 s.",
)
@click.option(
    "--blocked",
    "blocked_s",
    type=seconds,
    help="The event loop is reported as blocked after so long; 1 s.",
)
@click.option("--threads", "task_threads", type=click.IntRange(1), help="For plain functions.")
@click.option("--burst", is_flag=True, help="End when there is nothing more to get.")
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    help="Worker processes, each with these settings; one that dies is started again.",
)
@click.option(
    "--reload",
    is_flag=True,
    help="For development: start again when a Python file below this directory changes.",
)
@click.option(
    "--health-file",
    envvar="QCLIENT_HEALTH_FILE",
    show_envvar=True,
    help="Touched every few seconds while the worker is well. With --processes each has its own: "
    ".1, .2 … are appended.",
)
@click.option(
    "--health-port",
    type=click.IntRange(0, 65535),
    envvar="QCLIENT_HEALTH_PORT",
    show_envvar=True,
    help="Answers HTTP with 200 while the worker is well, else 503. With --processes the second "
    "one listens at the next port, and so on.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Run nothing: exit with 0 if --health-file says that the worker was well lately, else 1.",
)
@click.option(
    "--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), default="INFO"
)
@pass_context
def worker(
    context: Context,
    /,
    where: str | None,
    queues: tuple[str, ...],
    log_level: str,
    processes: int,
    *,
    reload: bool,
    check: bool,
    **options: Any,
) -> None:
    """Run the tasks of an app until SIGTERM or Ctrl-C; a second one leaves at once.

    \b
    qclient worker shop.tasks:app
    qclient worker shop.tasks:app --queue mail:3 --queue reports:1 --concurrency 20
    qclient worker shop.tasks:app --processes 4 --health-file /tmp/well
    qclient worker --check --processes 4 --health-file /tmp/well
    """  # noqa: D301  click looks for the backspace itself
    if check:
        _check(options["health_file"], processes)
        return
    if where is None:
        raise click.UsageError("Missing argument 'MODULE:APP'.")
    from qclient.worker import membership, program, settings  # noqa: PLC0415  slow, needed here

    if membership.number() is None and (processes > 1 or reload):
        sys.exit(program.lead(where, log_level, processes=processes, is_reloading=reload))
    given = {name: value for name, value in options.items() if value is not None}
    made = settings.Settings(queues=program.parse_queues(queues), **given)
    program.work(where, context.url, made, log_level, processes=processes)


def _check(path: str | None, processes: int) -> None:
    if path is None:
        raise click.UsageError("--check looks at --health-file: name it, as for the worker")
    from qclient.worker import probe  # noqa: PLC0415  slow, and only needed here

    sick = probe.sick(path, processes)
    if sick:
        raise Refused(f"not touched for {probe.STALE_S:g} s, or never: {', '.join(sick)}")


COMMANDS: Final = (worker,)
