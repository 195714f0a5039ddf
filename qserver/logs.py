"""Log lines: readable ones on a terminal, JSON otherwise. Every line states its consequence."""

import importlib
import logging
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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


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
