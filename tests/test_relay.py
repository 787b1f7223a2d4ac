"""A work that its caller's task runs, and that another task goes on with."""

import asyncio
import contextlib
import gc

import pytest

from pyannote_voiceprint_async.relay import Relay


@pytest.fixture(params=["C", "Python"])
def task(request):
    """Tasks of asyncio's own two kinds."""
    kind = {"C": asyncio.Task, "Python": asyncio.tasks._PyTask}[request.param]
    return lambda coro: kind(coro, loop=asyncio.get_running_loop())


class Work:
    """Waits for one thing after the other, and writes down what came."""

    def __init__(self, *, may_end: bool) -> None:
        self.first, self.second = (asyncio.get_running_loop().create_future() for _ in range(2))
        self.seen: list[object] = []
        self.relay = Relay(self._run(), lambda: may_end)

    async def _run(self):
        try:
            self.seen.append(await self.first)
            await asyncio.sleep(0)
            self.seen.append(await self.second)
        except BaseException as error:
            self.seen.append(type(error))
            raise
        return "done"

    async def awaited(self):
        return await self.relay


@pytest.fixture
async def kept():
    """A work that does not end with its caller."""
    return Work(may_end=False)


@pytest.fixture
async def canceled():
    """A work that ends with its caller."""
    return Work(may_end=True)


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_it_gives_what_the_work_gives(task, kept):
    caller = task(kept.awaited())
    await turns()
    kept.first.set_result(1)
    kept.second.set_result(2)
    assert (await caller, kept.seen, kept.relay.over) == ("done", [1, 2], True)


async def test_errors_pass_both_ways_and_get_no_context_on_the_way(task, kept):
    caller = task(kept.awaited())
    await turns()
    kept.first.set_exception(ValueError("inside"))
    with pytest.raises(ValueError, match="inside") as raised:
        await caller
    assert (kept.seen, kept.relay.over, raised.value.__context__) == ([ValueError], True, None)


async def test_what_the_work_raises_instead_of_an_error_has_no_context_of_ours():
    """aiohttp's errors hold the key: what is raised in place of one must not lead to it."""

    async def work():
        with contextlib.suppress(ValueError):
            await future
        raise KeyError

    future = asyncio.get_running_loop().create_future()
    relay = Relay(work(), lambda: False)

    async def caller():
        await relay

    running = asyncio.create_task(caller())
    await turns()
    future.set_exception(ValueError())
    with pytest.raises(KeyError) as raised:
        await running
    assert raised.value.__context__ is None


async def test_a_cancellation_reaches_a_work_that_may_end(task, canceled):
    caller = task(canceled.awaited())
    await turns()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert (canceled.seen, canceled.first.cancelled(), canceled.relay.over) == ([asyncio.CancelledError], True, True)


async def test_a_cancellation_reaches_a_task_that_the_work_waits_for(task):
    """As it does where nothing stands between: the caller goes on when the other task has ended."""
    seen = []

    async def other():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("other")

    async def work():
        await asyncio.create_task(other())

    relay = Relay(work(), lambda: True)

    async def awaited():
        await relay

    caller = task(awaited())
    await turns()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert seen == ["other"]


async def test_a_cancellation_lets_the_caller_go_at_once_and_the_work_go_on(task, kept):
    caller = task(kept.awaited())
    await turns()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert (kept.seen, kept.relay.over, kept.relay.canceled) == ([], False, True)
    heir = task(kept.awaited())
    kept.first.set_result(1)
    await turns()
    kept.second.set_result(2)
    assert (await heir, kept.seen, kept.relay.canceled) == ("done", [1, 2], False)


@pytest.mark.parametrize("turn", range(9))
@pytest.mark.parametrize("times", [1, 2])
async def test_at_whatever_turn_of_the_loop_it_is_canceled_the_work_is_done_once(task, kept, turn, times):
    """Also when what it waits for is done already, when it only lets others go first, and when it is canceled twice."""
    caller = task(kept.awaited())
    # Before its first step a task has not begun the work: there is nothing to go on with.
    await turns(1)
    for number in range(9):
        if number == turn:
            for _ in range(times):
                caller.cancel()
        if number == 2:
            kept.first.set_result(1)
        if number == 5:
            kept.second.set_result(2)
        await asyncio.sleep(0)
    went = (await asyncio.gather(caller, return_exceptions=True))[0]
    if isinstance(went, asyncio.CancelledError):
        assert not kept.relay.over
        went = await task(kept.awaited())
    assert (went, kept.seen) == ("done", [1, 2])


async def test_several_callers_may_go_one_after_the_other(task, kept):
    for _ in range(3):
        caller = task(kept.awaited())
        await turns()
        caller.cancel("go")
        with pytest.raises(asyncio.CancelledError, match="go"):
            await caller
    kept.first.set_result(1)
    kept.second.set_result(2)
    assert await task(kept.awaited()) == "done"


async def test_a_timeout_around_it_ends_the_wait_and_not_the_work(kept):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await kept.relay
    assert (kept.seen, kept.relay.over) == ([], False)
    kept.first.set_result(1)
    kept.second.set_result(2)
    assert await kept.relay == "done"


async def test_an_interruption_ends_the_work_and_no_task(task, kept):
    caller = task(kept.awaited())
    await turns()
    kept.relay.interrupt()
    await asyncio.wait([caller])
    assert (kept.seen, kept.relay.canceled, caller.cancelling()) == ([asyncio.CancelledError], False, 0)


async def test_an_interruption_comes_at_the_next_step_when_what_is_awaited_is_done(task, kept):
    """An answer without end is always about to be read on."""
    caller = task(kept.awaited())
    await turns()
    kept.first.set_result(1)
    kept.relay.interrupt()
    await asyncio.wait([caller])
    assert (kept.seen, kept.relay.over) == ([asyncio.CancelledError], True)


async def test_who_is_canceled_while_the_work_is_interrupted_is_canceled(task, kept):
    caller = task(kept.awaited())
    await turns()
    caller.cancel()
    kept.relay.interrupt()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert (kept.relay.canceled, kept.seen, kept.relay.over) == (True, [], False)
    await asyncio.wait([task(kept.awaited())])
    assert (kept.relay.canceled, kept.seen) == (False, [asyncio.CancelledError])


async def test_a_work_that_is_dropped_cleans_up(task, kept):
    """A loop that is closed, a task that is thrown away."""
    caller = task(kept.awaited())
    await turns()
    caller.cancel()
    await asyncio.wait([caller])
    seen = kept.seen
    del kept.relay
    del caller
    gc.collect()
    assert seen == [GeneratorExit]
