"""A run states its plan; a long list is confirmed once."""

import asyncio
from types import SimpleNamespace

import pytest

from pyannote_voiceprint_async.cli import cost_question
from pyannote_voiceprint_async.cli.clients import SANDBOX_KEY
from pyannote_voiceprint_async.cli.cost_question import CostQuestion
from pyannote_voiceprint_async.enrollment import RunPlan
from pyannote_voiceprint_async.sandbox import Sandbox


@pytest.fixture
def lines(monkeypatch):
    """Return the lines that are written; the question is one of them, and its answer is no."""
    written = []

    async def ask(question):
        written.append(question)
        return False

    monkeypatch.setattr(cost_question, "ask", ask)
    return written


async def answer_to(plan, lines, *, is_wanted=True, is_sandbox=False) -> bool:
    async def write_status(line):
        lines.append(line)

    question = CostQuestion(SimpleNamespace(write_status=write_status), is_sandbox=is_sandbox, is_wanted=is_wanted)
    confirming = asyncio.create_task(question.confirm(plan))
    await question.state(plan)
    return await confirming


async def test_a_long_list_states_its_cost_and_asks(lines):
    assert not await answer_to(RunPlan(rows=5000, jobs=2000, left=3000, new_jobs=2000, price=0.02), lines)
    cost, question = lines[-2:]
    assert cost == (
        "2000 jobs at 0.02 EUR each: about 40.00 EUR. Failed jobs are free. Later runs submit 3000 more rows of the "
        "list. This question is asked once for a list."
    )
    assert question == "Continue?"


@pytest.mark.parametrize(
    ("plan", "is_wanted"),
    [
        (RunPlan(rows=1000, jobs=1000, new_jobs=1000), True),
        (RunPlan(rows=5000, jobs=5000, new_jobs=0), True),
        (RunPlan(rows=5000, jobs=5000, new_jobs=5000), False),
    ],
    ids=["a short list", "a list that was begun", "nobody to ask"],
)
async def test_otherwise_the_plan_is_stated_and_nothing_is_asked(lines, plan, is_wanted):
    assert await answer_to(plan, lines, is_wanted=is_wanted)
    assert "Continue?" not in lines
    assert lines[1].startswith("To be submitted: ")


def test_the_key_of_a_sandbox_is_known():
    assert Sandbox().api_key == SANDBOX_KEY
