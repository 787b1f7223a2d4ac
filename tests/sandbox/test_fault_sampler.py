from collections import Counter

import pytest

from pyannote_voiceprint_async.sandbox.fault_sampler import FaultSampler, check_probabilities, find_fault

TABLE = {"one": 1, "two": 2}


def test_an_unknown_fault_is_reported_with_the_known_ones():
    with pytest.raises(ValueError) as caught:
        find_fault(TABLE, "three")
    assert str(caught.value) == "There is no fault 'three'. The faults are one, two."


@pytest.mark.parametrize("faults", [{}, {"one": 1.0}, [("one", 0.5), ("two", 0.5)], {"one": 0.1, "two": 0.9}])
def test_probabilities_that_add_up_to_at_most_one_are_accepted(faults):
    assert check_probabilities(TABLE, faults) == dict(faults)


@pytest.mark.parametrize("faults", [{"three": 0.1}, {"one": -0.1}, {"one": 1.1}, {"one": 0.6, "two": 0.6}])
def test_other_probabilities_are_refused(faults):
    with pytest.raises(ValueError):
        check_probabilities(TABLE, faults)


def test_samples_have_their_probabilities():
    """Ten thousand draws from a fixed seed come close to the probabilities."""
    sampler = FaultSampler(TABLE, {"one": 0.3, "two": 0.1}, seed=0)
    counts = Counter(sampler.sample() for _ in range(10_000))
    assert {fault: round(count / 10_000, 1) for fault, count in counts.items()} == {1: 0.3, 2: 0.1, None: 0.6}


def test_samples_repeat_with_the_seed():
    samplers = [FaultSampler(TABLE, {"one": 0.5}, seed) for seed in (1, 1, "1", 2)]
    series = [[sampler.sample() for _ in range(100)] for sampler in samplers]
    assert series[0] == series[1]
    assert series[0] not in series[2:]


def test_without_probabilities_there_is_no_fault():
    sampler = FaultSampler(TABLE, {}, seed=0)
    assert {sampler.sample() for _ in range(100)} == {None}
