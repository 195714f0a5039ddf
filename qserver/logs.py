"""Log lines: readable ones on a terminal, JSON otherwise. Every line states its consequence.

A line that can't be written is lost, and nothing else is: the terminal may be closed, who read the
pipe may have ended, the disk that the log is on may be full, and what was to be logged happens all
the same. So it is written past Python's own file, which would keep it, and fail again at the end.
"""

import contextlib
import importlib
import logging
import os
import sys
from typing import Any, Final

LEVELS: Final = ("debug", "info", "warning", "error", "critical")


def configure(log_format: str, level: str) -> None:
    """Send log lines to stderr.

    Args:
        log_format: `text`, `json`, or `auto` for text on a terminal.
        level: one of `LEVELS`; lines below it are not written.
    """
    structlog = _structlog()
    if sys.stderr is None:  # closed by who started this
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for as long as the process
    is_text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    renderer = (
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        if is_text
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=not is_text),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=lambda *_: _Lines(sys.stderr.fileno()),
        cache_logger_on_first_use=True,
    )


class _Lines:
    """Writes lines to a file that may take none."""

    def __init__(self, file: int) -> None:
        self._file = file

    def info(self, line: str) -> None:
        """Write it, whatever its level is."""
        rest = f"{line}\n".encode(errors="backslashreplace")
        with contextlib.suppress(OSError):
            while rest:
                rest = rest[os.write(self._file, rest) :]

    debug = warning = error = critical = info


def _structlog() -> Any:
    """The library, imported without rich, which takes longer than all else that a server imports.

    structlog looks for it to draw tracebacks, which we don't use; a name that stands as None among
    the modules is one that can't be imported. So this comes before anything imports structlog.
    """
    is_absent = "rich" not in sys.modules
    if is_absent:
        sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("structlog")
    finally:
        if is_absent:
            del sys.modules["rich"]
