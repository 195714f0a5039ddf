"""What an operator can set, as flags, environment variables and keys of a TOML file.

One table for all three; the first that is given counts, in that order. `--data-dir` is
`QSERVER_DATA_DIR` and `data_dir`.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from qserver.config import TEXT_BYTES_MAX, Config, Limits
from qserver.logs import LEVELS

_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SECONDS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

F = TypeVar("F", bound=Callable[..., Any])


class Size(click.ParamType[int]):
    """A number of bytes: `1048576`, `64MiB`, `2g`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it."""
        match = re.fullmatch(r"([0-9]{1,18})\s*([kmgt]?)(i?b)?", str(value).lower())
        if match is None:
            self.fail(f"{value!r} is no size: bytes, or a number with KiB, MiB, GiB", param, ctx)
        size = int(match[1]) * _UNITS[match[2]]
        if not size:
            self.fail("it must be more than 0", param, ctx)
        return size


class Duration(click.ParamType[float]):
    """A time span: `2.5`, `500ms`, `12h`."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it, in seconds."""
        match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*(ms|s|m|h|d)?", str(value))
        if match is None:
            self.fail(
                f"{value!r} is no duration: seconds, or a number with ms, s, m, h, d", param, ctx
            )
        seconds = float(match[1]) * _SECONDS[match[2] or ""]
        if not seconds:
            self.fail("it must be more than 0", param, ctx)
        return seconds


class Sync(click.ParamType[str]):
    """When an OK is given: `always`, `never`, or an interval."""

    name = "policy"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check it; it stays as it was written."""
        text = str(value).lower()
        if text not in ("always", "never"):
            interval_s(text, param, ctx)
        return text


def interval_s(
    text: str, param: click.Parameter | None = None, ctx: click.Context | None = None
) -> float:
    """The interval of a sync policy."""
    try:
        seconds = Duration().convert(text, param, ctx)
    except click.BadParameter:
        raise click.BadParameter(
            f"{text!r} is none of: always, never, an interval like 100ms", ctx, param
        ) from None
    if seconds > 60:  # noqa: PLR2004
        raise click.BadParameter("an interval may have 60 s", ctx, param)
    return seconds


class Token(click.ParamType[str]):
    """A secret of 1 to 256 bytes, without the blanks around it."""

    name = "secret"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check it; no message shows it."""
        secret = str(value).strip()
        try:
            size = len(secret.encode())
        except UnicodeEncodeError:
            self.fail("a token is text in UTF-8", param, ctx)
        if not 0 < size <= TEXT_BYTES_MAX:
            self.fail(f"a token has 1 to {TEXT_BYTES_MAX} bytes", param, ctx)
        return secret


def _tokens(values: dict[str, Any]) -> tuple[str, ...]:
    """All secrets that were set.

    Who sets none sets them by mistake (an environment where the variable that was meant to be put
    in was empty, an empty file), and does not want a server that is open to all.
    """
    for name in ("QSERVER_TOKEN", "QSERVER_TOKEN_FILE"):
        if os.environ.get(name) == "":
            raise click.UsageError(f"{name} is set, and empty: unset it, or give it a value")
    tokens = [values["token"]] if values["token"] is not None else []
    path = values["token_file"]
    if path is not None:
        found = _tokens_of(path)
        if not found:
            raise click.UsageError(f"{path} has no token in it")
        tokens += found
    return tuple(tokens)


def _tokens_of(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"can't read the tokens in {path}: {error}") from None
    words = (line.strip() for line in lines)
    return [Token().convert(word, None, None) for word in words if word and word[0] != "#"]


def _half_of_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _bytes(size: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size % unit == 0:
            return f"{size // unit}{name}"
    return str(size)


_LIMITS: Final = Limits()
_CONFIG: Final = Config()

OPTIONS: Final[tuple[Callable[[Any], Any], ...]] = (
    click.option("--host", default=_CONFIG.host, show_default=True, help="Address to listen on."),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=_CONFIG.port,
        show_default=True,
        help="Port to listen on; 0 takes a free one.",
    ),
    click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("qserver-data"),
        show_default=True,
        help="Directory of the journal; created if absent.",
    ),
    click.option(
        "--memory-only",
        is_flag=True,
        help="Keep nothing on disk: all is lost when the server ends.",
    ),
    click.option(
        "--sync",
        type=Sync(),
        default="always",
        show_default=True,
        help="When an OK is given: 'always' after a sync to disk, an interval like 100ms after "
        "the write, with a sync that often, 'never' after the write.",
    ),
    click.option(
        "--segment-bytes-max",
        type=Size(),
        default=_bytes(_CONFIG.segment_bytes_max),
        show_default=True,
        help="A file of the journal ends at about this.",
    ),
    click.option(
        "--memory-bytes-max",
        "--max-memory",
        type=Size(),
        default=_half_of_memory,
        show_default="half of the machine's",
        help="A PUT that would take more is refused with ERR full.",
    ),
    click.option(
        "--line-bytes-max",
        type=Size(),
        default=_bytes(_LIMITS.line_bytes_max),
        show_default=True,
        help="A longer request is refused with ERR too-long.",
    ),
    click.option(
        "--reply-bytes-max",
        type=Size(),
        default=_bytes(_LIMITS.reply_bytes_max),
        show_default=True,
        help="The bodies of one GET's or LIST's reply end at about this.",
    ),
    click.option(
        "--count-max",
        type=click.IntRange(1, 1_000_000),
        default=_LIMITS.count_max,
        show_default=True,
        help="Messages of one GET, receipts of one ACK.",
    ),
    click.option(
        "--wait-max",
        type=Duration(),
        default="1h",
        show_default=True,
        help="The longest that a GET may wait.",
    ),
    click.option(
        "--lease-max",
        type=Duration(),
        default="12h",
        show_default=True,
        help="The longest lease.",
    ),
    click.option(
        "--queues-max",
        type=click.IntRange(1, 100_000_000),
        default=_LIMITS.queues_max,
        show_default=True,
        help="Queues there can be.",
    ),
    click.option(
        "--connections-max",
        type=click.IntRange(1, 1_000_000),
        default=_CONFIG.connections_max,
        show_default=True,
        help="Connections there can be; the limit on open files may allow fewer.",
    ),
    click.option(
        "--token",
        type=Token(),
        help="A secret that a client must say first: HELLO token=<it>. Better given by the "
        "environment or a file, since all on the machine can see flags.",
    ),
    click.option(
        "--token-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A file with such secrets, one a line, any of which will do; '#' begins a comment.",
    ),
    click.option(
        "--stall-max",
        type=Duration(),
        default="1m",
        show_default=True,
        help="A client that takes none of its replies for so long is cut off.",
    ),
    click.option(
        "--busy-poll/--no-busy-poll",
        default=_CONFIG.busy_poll,
        show_default=True,
        help="Look for the next request for a moment before going to sleep, while clients are that "
        "quick.",
    ),
    click.option(
        "--log-format",
        type=click.Choice(["auto", "text", "json"]),
        default="auto",
        show_default=True,
        help="Log lines on stderr; auto is text on a terminal, JSON otherwise.",
    ),
    click.option(
        "--log-level",
        type=click.Choice(LEVELS),
        default="info",
        show_default=True,
        help="Lines below this level are not written.",
    ),
)


def add_options(command: F) -> F:
    """Give a command all of `OPTIONS`, and the file that can set them."""
    for option in reversed(OPTIONS):
        command = option(command)
    file_option = click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_read_file,
        help='TOML file with any of these settings: port = 7711, sync = "100ms".',
    )
    return file_option(command)


def _read_file(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    import tomllib  # noqa: PLC0415 - few have a file

    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path} is not TOML: {error}", ctx, param) from None
    known = {option.name for option in ctx.command.params if option.expose_value}
    for name, value in values.items():
        if name.replace("-", "_") not in known:
            raise click.BadParameter(f"{path} sets {name!r}, and there is no such setting", ctx)
        if not isinstance(value, str | int | float):
            text = f"{path} sets {name!r} to what is neither text nor a number, true or false"
            raise click.BadParameter(text, ctx)
    # As text, which is what options expect: they take 1.5 for a port, and choke on others.
    ctx.default_map = {name.replace("-", "_"): str(value) for name, value in values.items()}


def to_config(values: dict[str, Any]) -> Config:
    """The configuration that the options' values make."""
    sync = values["sync"]
    return Config(
        host=values["host"],
        port=values["port"],
        data=None if values["memory_only"] else values["data"],
        sync_s={"always": None, "never": 0.0}.get(sync, 0.0)
        if sync in ("always", "never")
        else interval_s(sync),
        segment_bytes_max=values["segment_bytes_max"],
        connections_max=values["connections_max"],
        stall_s_max=values["stall_max"],
        busy_poll=values["busy_poll"],
        tokens=_tokens(values),
        limits=Limits(
            line_bytes_max=values["line_bytes_max"],
            count_max=values["count_max"],
            reply_bytes_max=values["reply_bytes_max"],
            wait_s_max=values["wait_max"],
            lease_s_max=values["lease_max"],
            queues_max=values["queues_max"],
            memory_bytes_max=values["memory_bytes_max"],
        ),
    )
