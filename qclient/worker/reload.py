"""`--reload`: which files of a service have changed. For development; needs watchfiles."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from qclient.errors import BadRequest

DEBOUNCE_MS: Final = 400
"""Changes that follow each other so soon are one: an editor's, or a checkout's."""


async def changes(directory: Path) -> AsyncIterator[str]:
    """The changes of Python files below a directory, in words for people.

    Raises:
        BadRequest: watchfiles is not installed.
    """
    check()
    from watchfiles import PythonFilter, awatch  # noqa: PLC0415  only there where it is asked for

    where = directory.resolve()  # noqa: ASYNC240  once
    async for some in awatch(where, watch_filter=PythonFilter(), debounce=DEBOUNCE_MS):
        names = sorted({str(Path(name).relative_to(where)) for _, name in some})
        rest = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"{names[0]}{rest}"


def check() -> None:
    """Raises BadRequest when watchfiles is not installed."""
    try:
        import watchfiles  # noqa: F401, PLC0415
    except ModuleNotFoundError:
        raise BadRequest("--reload needs watchfiles: pip install 'qserver[reload]'") from None
