"""The command line: `qclient`. The commands are in `cli_*.py`; here is what they share.

Every command connects, does one thing and ends with an exit code that a script can use. Data goes
to stdout as JSON lines (tables for people, on a terminal), everything else to stderr.
"""

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import click

from qclient import (
    cli_care,
    cli_get,
    cli_look,
    cli_outcome,
    cli_put,
    cli_tail,
    cli_top,
    cli_web,
    cli_worker,
)
from qclient.cli_context import Context, Refused
from qclient.cli_output import Enough
from qclient.dialler import with_token
from qclient.errors import (
    BadName,
    BadReceipt,
    BadRequest,
    CannotConnect,
    ConnectionLost,
    Error,
    Unauthorized,
)
from qclient.opening import DEFAULT_URL

OK: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
INTERRUPTED: Final = 130


def _version() -> str:
    try:
        return version("qserver")
    except PackageNotFoundError:
        return "unknown (not installed)"


FAMILIES: Final = {
    "Messages": (cli_put, cli_get, cli_outcome),
    "Look": (cli_look, cli_top, cli_tail, cli_web),
    "Care": (cli_care,),
    "Work": (cli_worker,),
}
"""The commands as `--help` lists them."""


class Families(click.Group):
    """A group whose help lists the commands by family, each with a whole sentence."""

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """What click calls for that part of the help."""
        for family, modules in FAMILIES.items():
            commands = [command for module in modules for command in module.COMMANDS]
            with formatter.section(family):
                formatter.write_dl(
                    [(each.name or "", each.get_short_help_str(limit=200)) for each in commands]
                )


@click.group(
    cls=Families,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "-u",
    "--url",
    default=DEFAULT_URL,
    envvar="QCLIENT_URL",
    show_default=True,
    show_envvar=True,
    help="Where the server is.",
)
@click.option(
    "--token",
    envvar="QCLIENT_TOKEN",
    show_envvar=True,
    help="The secret of a server that wants one. Better by the environment: all can see flags.",
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="QCLIENT_TOKEN_FILE",
    show_envvar=True,
    help="A file that has the secret in its first line that is no comment.",
)
@click.version_option(_version(), prog_name="qclient", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context, url: str, token: str | None, token_file: Path | None) -> None:
    """Talk to a qserver: put messages, get them, settle them, look at queues.

    \b
    qclient put emails '{"to":"ada@example.com"}'
    qclient put emails < emails.jsonl
    qclient get emails --full | jq -r .receipt | qclient ack -
    qclient list emails --state dead | jq .reason

    \b
    Exit codes:
      0  done
      1  the server said no, or there was nothing to get
      2  wrong usage
      3  cannot connect, or the connection was lost
    """  # noqa: D301  click looks for the backspace itself
    if token is None and token_file is not None:
        token = _token_of(token_file)
    context.obj = Context(url if token is None else with_token(url, token.strip()))


def _token_of(path: Path) -> str:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"can't read the token in {path}: {error}") from None
    tokens = [line for line in lines if line and line[0] != "#"]
    if not tokens:
        raise click.UsageError(f"{path} has no token in it")
    return tokens[0]


for modules in FAMILIES.values():
    for module in modules:
        for command in module.COMMANDS:
            cli.add_command(command)


def main() -> None:
    """Run the command line; ends the process with one of the exit codes above."""
    try:
        code = _run()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except (BrokenPipeError, Enough):
        code = OK
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _run() -> int:
    try:
        cli.main(prog_name="qclient", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except click.exceptions.Exit as done:
        return done.exit_code
    except Refused as refused:
        return _fail(str(refused), REFUSED)
    except CannotConnect as error:
        return _fail(f"{error}: is qserver running? start it with: qserver", UNREACHABLE)
    except ConnectionLost as error:
        return _fail(str(error), UNREACHABLE)
    except (BadRequest, BadName, BadReceipt) as error:
        return _fail(str(error), USAGE)
    except Unauthorized as error:
        return _fail(f"{error}: set QCLIENT_TOKEN or QCLIENT_TOKEN_FILE", REFUSED)
    except Error as error:
        return _fail(str(error), REFUSED)
    return OK


def _fail(text: str, code: int) -> int:
    if text:
        sys.stderr.write(f"qclient: {text}\n")
    return code
