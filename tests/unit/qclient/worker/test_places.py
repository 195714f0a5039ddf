"""Plain functions in threads and processes."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import pytest

from qclient.worker.processes import ChildDied, Processes
from qclient.worker.threads import Threads
from tests.unit.qclient.client_fakes import until


def threaded(count: int, play: Callable[[Threads], Awaitable[None]]) -> None:
    async def main() -> None:
        threads = Threads(count)
        try:
            async with asyncio.timeout(60):
                await play(threads)
        finally:
            threads.close()

    asyncio.run(main())


def test_a_function_in_a_thread_has_its_arguments_its_context_and_its_result() -> None:
    bound: ContextVar[str] = ContextVar("bound")

    def function(a: int, *, b: int) -> tuple[int, str, bool]:
        return a + b, bound.get(), threading.current_thread() is threading.main_thread()

    async def play(threads: Threads) -> None:
        bound.set("here")
        assert await threads.run(function, [1], {"b": 2}) == (3, "here", False)

    threaded(1, play)


def test_what_it_raises_is_raised() -> None:
    def function() -> None:
        raise KeyError("k")

    async def play(threads: Threads) -> None:
        with pytest.raises(KeyError):
            await threads.run(function)

    threaded(1, play)


def test_as_many_run_at_once_as_there_are_threads_and_threads_are_used_again() -> None:
    barrier = threading.Barrier(3, timeout=5)

    def meet() -> int:
        barrier.wait()
        return threading.get_ident()

    async def play(threads: Threads) -> None:
        met = await asyncio.gather(*[threads.run(meet) for _ in range(3)])
        again = await asyncio.gather(*[threads.run(meet) for _ in range(6)])
        assert len(set(met)) == 3
        assert set(again) == set(met)

    threaded(3, play)


def test_a_cancelled_function_is_interrupted_and_waited_for() -> None:
    began, ended = threading.Event(), threading.Event()

    def endless() -> None:
        try:
            while True:
                began.set()
        finally:
            ended.set()

    async def play(threads: Threads) -> None:
        run = asyncio.create_task(threads.run(endless))
        await asyncio.to_thread(began.wait)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert ended.is_set()
        assert await threads.run(lambda: "unharmed") == "unharmed"

    threaded(1, play)


def test_what_a_cancelled_function_raises_in_the_end_does_not_hide_its_cancelling() -> None:
    began = threading.Event()

    def converts() -> None:
        try:
            while True:
                began.set()
        except asyncio.CancelledError:
            raise RuntimeError("its own way") from None

    async def play(threads: Threads) -> None:
        run = asyncio.create_task(threads.run(converts))
        await asyncio.to_thread(began.wait)
        run.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await run
        assert isinstance(caught.value.__cause__, RuntimeError)

    threaded(1, play)


def test_one_that_ends_well_although_it_was_cancelled_has_its_result() -> None:
    began, go = threading.Event(), threading.Event()

    def stubborn() -> str:
        try:
            began.set()
            while not go.wait(0.01):
                pass
        except asyncio.CancelledError:
            pass
        return "done"

    async def play(threads: Threads) -> None:
        run = asyncio.create_task(threads.run(stubborn))
        await asyncio.to_thread(began.wait)
        run.cancel()
        assert await run == "done"

    threaded(1, play)


def test_one_that_is_cancelled_before_its_turn_never_begins() -> None:
    gate = threading.Event()
    begun: list[int] = []

    async def play(threads: Threads) -> None:
        first = asyncio.create_task(threads.run(gate.wait, [60]))
        second = asyncio.create_task(threads.run(lambda: begun.append(2)))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        gate.set()
        assert await first
        with pytest.raises(asyncio.CancelledError):
            await second
        assert begun == []

    threaded(1, play)


def test_one_that_can_not_be_interrupted_is_left_alone_when_it_is_cancelled_twice() -> None:
    began, gate = threading.Event(), threading.Event()

    def deaf() -> None:
        began.set()
        gate.wait(60)  # in C, it hears nothing

    async def play(threads: Threads) -> None:
        run = asyncio.create_task(threads.run(deaf))
        await asyncio.to_thread(began.wait)
        run.cancel()
        await asyncio.sleep(0)
        assert not run.done()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        gate.set()

    threaded(1, play)


def in_processes(play: Callable[[Processes], Awaitable[None]]) -> None:
    async def main() -> None:
        processes = Processes(1)
        try:
            async with asyncio.timeout(60):
                await play(processes)
        finally:
            processes.close()

    asyncio.run(main())


def test_a_function_in_a_process_has_its_result_or_its_error() -> None:
    async def play(processes: Processes) -> None:
        pid = await processes.run("os", "getpid", [], {})
        assert pid != os.getpid()
        assert await processes.run("os", "getpid", [], {}) == pid
        with pytest.raises(ValueError, match="math domain error"):
            await processes.run("math", "sqrt", [-1], {})
        with pytest.raises(ModuleNotFoundError):
            await processes.run("no_such_module", "f", [], {})
        with pytest.raises(TypeError, match="can't be pickled"):
            await processes.run("threading", "Lock", [], {})
        assert await processes.run("os", "getpid", [], {}) == pid

    in_processes(play)


def test_a_process_that_dies_fails_its_call_and_one_that_is_cancelled_is_killed() -> None:
    async def play(processes: Processes) -> None:
        with pytest.raises(ChildDied, match="exit code 3"):
            await processes.run("os", "_exit", [3], {})
        run = asyncio.create_task(processes.run("time", "sleep", [60], {}))
        await until(lambda: processes._busy)
        (child,) = processes._busy
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await asyncio.to_thread(child.process.join, 60)
        assert child.process.exitcode == -9
        assert await processes.run("math", "sqrt", [4], {}) == 2

    in_processes(play)
