"""What every command has: a connection for its one piece of work, and values from words."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

import click

from qclient.client import Client
from qclient.opening import connect

T = TypeVar("T")

RETRY_FOR: Final = 10.0
"""Seconds a command waits for a lost connection to come back."""

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?")
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_UNITS: Final = {"ms": 0.001, "s": 1, None: 1, "m": 60, "h": 3600, "d": 86400}


class Refused(Exception):
    """The command's work was not done; the text, if any, says why. Ends with exit code 1."""


class Context:
    """Handed to the commands by click."""

    def __init__(self, url: str) -> None:
        self.url = url

    def run(self, work: Callable[[Client], Awaitable[T]]) -> T:
        """Connect, do the work, close; the work's result."""
        return asyncio.run(self._run(work))

    async def _run(self, work: Callable[[Client], Awaitable[T]]) -> T:
        async with connect(self.url, retry_for=RETRY_FOR) as client:
            return await work(client)


def seconds(value: str) -> float:
    """Seconds of `30`, `2.5`, `500ms`, `5m`, `2h`, `7d`; for an option's `type`."""
    match = _DURATION.fullmatch(value)
    if match is None:
        raise click.BadParameter(f"{value!r} is not a duration, like 30, 2.5, 500ms, 5m, 2h or 7d")
    return float(match[1]) * _UNITS[match[2]]


def time(value: str) -> datetime:
    """An aware time of RFC 3339 or seconds since 1970; for an option's `type`."""
    try:
        if _NUMBER.fullmatch(value):
            return datetime.fromtimestamp(float(value), UTC)
        found = datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        text = f"{value!r} is not a time, like 2027-01-31T09:30:00Z"
        raise click.BadParameter(text) from None
    if found.utcoffset() is None:
        raise click.BadParameter(f"{value!r} has no zone: add Z, or one like +01:00")
    return found


pass_context = click.make_pass_decorator(Context)
