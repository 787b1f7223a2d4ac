"""No fault of the table loses a job, pays for it twice, or leaks a task, socket or file."""

import asyncio
import logging
import socket
import sys
from collections import Counter

import pytest
from faults.calls import submit
from faults.counts import audit
from faults.fault import made
from faults.runner import run
from faults.scenes import KEY, calm, in_sandbox
from faults.table import FAULTS
from hostile_server import found_in
from warm_process import start_parent

from pyannote_voiceprint_async import RetryPolicy


@pytest.fixture(autouse=True)
def _nothing_secret_is_logged(caplog):
    caplog.set_level(logging.DEBUG, "pyannote_voiceprint_async")
    yield
    assert found_in(caplog.text, KEY, "THIS-IS-A-SECRET") == []


@pytest.fixture(scope="session")
def _warm_parent():
    start_parent()


@pytest.mark.usefixtures("_warm_parent")
@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_a_fault(fault, record_property):
    counts = await fault.run()
    record_property("fault", {"family": fault.family, "fault": fault.name, **counts.to_dict()})
    assert (counts.duplicates, counts.losses, +counts.leaks) == (0, 0, Counter())
    assert counts.happened.keys() <= fault.expected
    if fault.tries is not None:
        assert (counts.tries, counts.requests) == (fault.tries, fault.least_met)


def test_the_table_is_large_enough():
    """Rare defects need many requests."""
    assert sum(fault.least_met for fault in FAULTS) >= 10_000
    assert len({str(fault) for fault in FAULTS}) == len(FAULTS)


# The audit must be able to fail


async def test_a_client_that_submits_twice_is_found():
    again = RetryPolicy(max_tries=2, max_elapsed=1e9, replay_unknown=True)
    counts = await run(in_sandbox("drop-after-accept", retry=again), made(submit, times=10))
    assert (counts.duplicates, counts.losses, counts.tries) == (10, 0, 20)


async def test_a_client_that_loses_an_id_is_found():
    async def forget(stage, url):
        await submit(stage, url)

    counts = await run(calm(), made(forget, times=10))
    assert (counts.duplicates, counts.losses) == (0, 10)


async def test_a_client_that_leaks_is_found():
    left = []

    async def leave(stage, url):
        left.append(asyncio.create_task(asyncio.Event().wait()))
        left.append(socket.socket())

    counts = await run(calm(), made(leave, times=1))
    assert counts.leaks["tasks"] == 1
    assert counts.leaks["sockets"] == (1 if sys.platform == "linux" else 0)
    left[0].cancel()
    left[1].close()


@pytest.mark.parametrize(
    ("accepted", "known", "announced", "expected"),
    [
        ({}, {"": set()}, set(), (0, 0)),
        ({"a": ["1"]}, {"": set(), "a": {"1"}}, set(), (0, 0)),
        ({"a": ["1"]}, {"": {"1"}}, set(), (0, 0)),
        ({"a": ["1"]}, {"": set(), "a": {None}}, {"a"}, (0, 0)),
        ({"a": ["1"]}, {"": set(), "a": {None}}, set(), (0, 1)),
        ({"a": ["1"], "b": ["2"]}, {"": set(), "a": {"2"}, "b": {"1"}}, set(), (0, 2)),
        ({"a": ["1", "2"]}, {"": set(), "a": {"2"}}, set(), (1, 1)),
        ({"a": ["1", "2", "3"]}, {"": set()}, {"a"}, (2, 0)),
    ],
)
def test_what_counts_as_a_duplicate_and_as_a_loss(accepted, known, announced, expected):
    """The job id of another call does not count."""
    assert audit(accepted, known, announced) == expected
