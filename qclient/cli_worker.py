"""`qclient worker`: runs the tasks of an app."""

from typing import Any, Final

import click

from qclient.cli_context import Context, pass_context, seconds


@click.command()
@click.argument("where", metavar="MODULE:APP")
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
@click.option("--health-file", help="Touched every few seconds while the worker is well.")
@click.option(
    "--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), default="INFO"
)
@pass_context
def worker(
    context: Context, /, where: str, queues: tuple[str, ...], log_level: str, **options: Any
) -> None:
    """Run the tasks of an app until SIGTERM or Ctrl-C; a second one leaves at once.

    \b
    qclient worker shop.tasks:app
    qclient worker shop.tasks:app --queue mail:3 --queue reports:1 --concurrency 20
    """  # noqa: D301  click looks for the backspace itself
    from qclient.worker import program, settings  # noqa: PLC0415  slow, and only needed here

    given = {name: value for name, value in options.items() if value is not None}
    made = settings.Settings(queues=program.parse_queues(queues), **given)
    program.work(where, context.url, made, log_level)


COMMANDS: Final = (worker,)
