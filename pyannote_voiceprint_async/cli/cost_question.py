"""The statement of a run's plan, and the question whether a long list may be billed."""

import asyncio

from pyannote_voiceprint_async.enrollment import RunPlan

from .formatting import format_cost, format_count
from .output import Output
from .plan_text import plan_lines
from .questions import ask

__all__ = ["CostQuestion"]

# A run of more new jobs asks. What an earlier run of the same list was allowed to submit is not new.
_MOST_JOBS_WITHOUT_QUESTION = 1000


class CostQuestion:
    """States the plan of a run, and asks once for a long list. Construct it in the event loop.

    Args:
        output: where the plan is stated.
        is_sandbox: whether the run uses the embedded sandbox, where nothing is billed.
        is_wanted: whether the run is billed and a person can be asked.
    """

    def __init__(self, output: Output, *, is_sandbox: bool, is_wanted: bool) -> None:
        self._output = output
        self._is_sandbox = is_sandbox
        self._is_wanted = is_wanted
        self._answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def state(self, plan: RunPlan) -> None:
        """State the plan, and ask if that is necessary."""
        for line in plan_lines(plan, is_sandbox=self._is_sandbox):
            await self._output.write_status(line)
        if not self._is_wanted or plan.new_jobs <= _MOST_JOBS_WITHOUT_QUESTION:
            self._answer.set_result(True)
            return
        await self._output.write_status(_cost(plan))
        self._answer.set_result(await ask("Continue?"))

    async def confirm(self, _plan: RunPlan) -> bool:
        """Return the answer, once the plan was stated; see the argument `confirm` of `enroll`."""
        return await self._answer


def _cost(plan: RunPlan) -> str:
    jobs = plan.jobs + plan.possible_jobs
    most = "Up to " if plan.possible_jobs else ""
    rest = f" Later runs submit {plan.left} more rows of the list." if plan.left else ""
    return (
        f"{most}{format_count(jobs, 'job')} at {plan.price:g} EUR each: {format_cost(jobs, plan.price)}. Failed jobs "
        f"are free.{rest} This question is asked once for a list."
    )
