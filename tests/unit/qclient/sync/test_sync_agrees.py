"""The two clients agree: what one can be asked, the other can, in the same words."""

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import qclient
import qclient.sync

SYNC = Path(qclient.sync.__file__).parent

# Public names that only one of the two has, and why.
ONLY_ASYNC = {
    "put_with": "for Producer and the command line",
    "put_line": "for the command line",
    "too_long": "for the command line",
    "lease": "for Consumer, which settles its messages itself",
}
ONLY_SYNC = {
    "renew": "after a fork",
    "consume": "the asynchronous one has Consumer, which fetches ahead and keeps leases",
}
ONLY_ASYNC_MESSAGE: dict[str, str] = {}
ONLY_ASYNC_CONNECT = {"in_flight_max"}  # one request a connection here
ONLY_SYNC_CONNECT = {"connections_max"}


def public(of: type) -> set[str]:
    return {name for name in dir(of) if not name.startswith("_")}


def names(of: type, but: dict[str, str]) -> list[str]:
    return sorted(public(of) - set(but))


def form(function: Callable[..., Any]) -> tuple[list[Any], str]:
    """Parameters with kinds, defaults and types; and the type of the answer, awaited."""
    signature = inspect.signature(function)
    given = [
        (each.name, each.kind, each.default, str(each.annotation))
        for each in signature.parameters.values()
    ]
    answer = str(signature.return_annotation).replace("AsyncIterator", "Iterator")
    return given, answer.replace("qclient.sync.", "qclient.")


def test_the_clients_have_the_same_methods() -> None:
    both = public(qclient.Client) - set(ONLY_ASYNC)
    assert both == public(qclient.sync.Client) - set(ONLY_SYNC)


def test_the_lists_of_exceptions_are_not_stale() -> None:
    assert set(ONLY_ASYNC) <= public(qclient.Client) - public(qclient.sync.Client)
    assert set(ONLY_SYNC) <= public(qclient.sync.Client) - public(qclient.Client)


@pytest.mark.parametrize("name", names(qclient.Client, ONLY_ASYNC))
def test_a_method_of_the_clients_has_one_form(name: str) -> None:
    ours, theirs = getattr(qclient.sync.Client, name), getattr(qclient.Client, name)
    if isinstance(theirs, property):
        assert isinstance(ours, property)
        ours, theirs = ours.fget, theirs.fget
    assert form(ours) == form(theirs)


@pytest.mark.parametrize("name", names(qclient.Message, ONLY_ASYNC_MESSAGE | {"is_lost": ""}))
def test_a_method_of_messages_has_one_form(name: str) -> None:
    ours, theirs = getattr(qclient.sync.Message, name), getattr(qclient.Message, name)
    if callable(theirs):
        assert form(ours) == form(theirs)


def test_the_two_connects_take_the_same_options() -> None:
    ours, theirs = form(qclient.sync.connect)[0], form(qclient.connect)[0]
    assert [each for each in ours if each[0] not in ONLY_SYNC_CONNECT] == [
        each for each in theirs if each[0] not in ONLY_ASYNC_CONNECT
    ]


def test_no_event_loop_and_no_thread_run_behind_it() -> None:
    for path in SYNC.glob("*.py"):
        tree = ast.parse(path.read_text())
        modules = {
            name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
            )
        }
        assert modules.isdisjoint({"asyncio", "uvloop", "concurrent", "_thread", "multiprocessing"})
        assert "Thread" not in {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.AsyncFunctionDef | ast.Await)]
