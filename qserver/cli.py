"""The command line: `qserver` serves, `qserver config` shows what is in force and why.

What it does with a journal that no server works on, `cli_journal.py` has.
"""

import sys
from typing import Any

import click
from click.core import ParameterSource

from qserver import __version__, cli_journal, logs
from qserver.build import BUILD
from qserver.options import add_options, to_config

_SOURCES = {
    ParameterSource.COMMANDLINE: "flag",
    ParameterSource.ENVIRONMENT: "environment",
    ParameterSource.DEFAULT_MAP: "file",
    ParameterSource.DEFAULT: "default",
}


@click.group(
    invoke_without_command=True,
    context_settings={"auto_envvar_prefix": "QSERVER", "help_option_names": ["-h", "--help"]},
    epilog="Every option can be set by the environment (QSERVER_PORT=7712) or in a TOML file "
    "(port = 7712) as well; a flag counts before the environment, that before the file.",
)
@click.version_option(
    __version__, message=f"qserver %(version)s ({BUILD})", allow_from_autoenv=False
)
@add_options
@click.pass_context
def main(ctx: click.Context, /, **values: Any) -> None:
    """A durable work queue you can type at.

    Without a command, serves until it is stopped: by Ctrl-C or SIGTERM in good order, by a
    second one at once.
    """
    ctx.obj = values
    if ctx.invoked_subcommand is None:
        logs.configure(values["log_format"], values["log_level"])
        from qserver.server.run import run  # noqa: PLC0415 - the loop is not needed for --help

        sys.exit(run(to_config(values)))


@main.command()
@click.pass_context
def config(ctx: click.Context) -> None:
    """Show every setting that is in force and where it comes from."""
    assert ctx.parent is not None
    values: dict[str, Any] = ctx.obj
    if values["token"] is not None:
        values = {**values, "token": "(not shown)"}
    width = max(map(len, values))
    shown = max(len(str(value)) for value in values.values())
    for name, value in values.items():
        source = ctx.parent.get_parameter_source(name)
        origin = _SOURCES.get(source, "default") if source is not None else "default"
        if origin == "environment":
            origin += f" (QSERVER_{name.upper()})"
        click.echo(f"{name:<{width}}  {value!s:<{shown}}  {origin}")


cli_journal.add_to(main)
