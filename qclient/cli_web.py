"""The command `web`: the page in a browser."""

import asyncio
import os
from typing import Final

import click

from qclient.cli_context import Context, pass_context

VARIABLE: Final = "QCLIENT_WEB_PASSWORD"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=7780,
    show_default=True,
    help="Port to listen at; 0 takes a free one.",
)
@click.option(
    "--password",
    envvar=VARIABLE,
    show_envvar=True,
    help="What a browser asks for, with any name. Better by the environment: all can see flags.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    help="A name by which the page may be asked for, as behind a proxy; may be repeated.",
)
@pass_context
def web(
    context: Context, *, host: str, port: int, password: str | None, names: tuple[str, ...]
) -> None:
    """Serve the server's whole state as a page for browsers, and as metrics for Prometheus.

    It only looks, and asks the server when somebody looks at it: for the overview a few pages of
    queues and connections, once a second at most. Needs `pip install 'qserver[web]'`.

    \b
    qclient web                                  http://127.0.0.1:7780/
    curl http://127.0.0.1:7780/metrics
    """  # noqa: D301  click looks for the backspace itself
    if password == "" or (password is None and os.environ.get(VARIABLE) == ""):
        raise click.UsageError(f"the password is empty: unset {VARIABLE}, or give it a value")
    try:
        from qclient.web.program import serve  # noqa: PLC0415  an extra, and slow to import
    except ModuleNotFoundError as error:
        text = f"the page needs libraries: pip install 'qserver[web]' ({error.name} is missing)"
        raise click.ClickException(text) from error
    names = tuple(name.lower() for name in names)
    asyncio.run(serve(context.url, host=host, port=port, password=password, names=names))


COMMANDS: Final = (web,)
