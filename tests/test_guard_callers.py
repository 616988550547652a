"""Who is judged by a guard: tasks and threads, and whether they can go on."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from async_layers._layers.guard.callers import (
    current_task,
    is_over,
    named,
    of_asyncio,
)
from async_layers._layers.guard.errors import GuardError
from async_layers._layers.guard.rules import Guard
from tests._living import LIMIT, OtherThread


async def test_task_that_runs_is_found() -> None:
    """A thread beside the loop runs none."""
    task = asyncio.current_task()
    assert task is current_task()
    assert task is of_asyncio()
    assert None is await asyncio.to_thread(current_task)


def test_thread_stands_in_where_no_task_runs() -> None:
    """A facade of asyncio may be called before its loop runs."""
    assert threading.get_ident() == of_asyncio()


async def test_task_is_named_with_its_work() -> None:
    """A message names a task, what it runs, and a thread."""
    task = asyncio.current_task()
    assert task is not None
    task.set_name("teller")
    assert "task 'teller' (test_task_is_named_with_its_work)" == named(task)
    assert "thread 'MainThread'" == named(threading.get_ident())
    assert "thread 1" == named(1)
    assert "a task that is gone" == named(None)


def test_thread_of_a_pool_is_over_when_its_work_is() -> None:
    """An idle worker does nothing by itself, one that works does."""
    gate = threading.Event()
    with ThreadPoolExecutor(1) as pool, OtherThread() as other:
        ident = pool.submit(threading.get_ident).result(LIMIT)
        assert is_over(ident)
        begun = threading.Event()

        def work() -> bool:
            begun.set()
            return gate.wait(LIMIT)

        working = pool.submit(work)
        assert begun.wait(LIMIT)
        assert not is_over(ident)
        gate.set()
        assert working.result(LIMIT)
        assert other.ident is not None
        assert not is_over(other.ident)
    assert is_over(other.ident)


def test_refused_operation_changes_nothing() -> None:
    """Who was refused has no part in the transaction: its owner goes on."""
    guard = Guard(threading.get_ident)
    assert guard.enter("execute")
    guard.leave()
    with OtherThread() as other:
        for _ in range(2):
            with pytest.raises(GuardError, match=r"seen execute\(\)"):
                other.do(lambda: guard.enter_end("rollback"))
        assert guard.enter("execute")
        assert not guard.enter("flush")
        with pytest.raises(GuardError, match="in flight"):
            other.do(lambda: guard.enter("execute"))
        guard.leave()
    assert guard.enter_end("commit")
    guard.leave(over=True)
    assert guard.is_free()


def test_block_that_begins_to_be_left_is_in_flight() -> None:
    """What leaves a block before anything was done has nothing to name."""
    guard = Guard(threading.get_ident)
    assert guard.take()
    with OtherThread() as other:
        with pytest.raises(GuardError, match="seen an operation of thread"):
            other.do(lambda: guard.enter("execute"))
        assert other.do(guard.take) is None
    guard.leave()
