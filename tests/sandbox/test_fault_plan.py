from collections import Counter

import pytest

from pyannote_voiceprint_async.sandbox import FAULTS, Sandbox
from pyannote_voiceprint_async.sandbox.fault_plan import FaultPlan
from pyannote_voiceprint_async.sandbox.faults import BURST
from pyannote_voiceprint_async.sandbox.operations import OPERATIONS


@pytest.mark.parametrize(
    ("faults", "operation", "message"),
    [
        ("gremlins", None, f"There is no fault 'gremlins'. The faults are {', '.join(FAULTS)}, "),
        (["server-error", "gremlins"], "test", "There is no fault 'gremlins'"),
        ("server-error", "diarize", "There is no operation 'diarize'. The operations are test, media, "),
        ("accept-late", "test", "The fault 'accept-late' applies to submissions only, and 'test' submits no job."),
    ],
)
def test_a_script_with_an_unknown_name_or_a_wrong_operation_is_refused(faults, operation, message):
    with pytest.raises(ValueError) as caught:
        Sandbox().fail_next(faults, operation=operation)
    assert message in str(caught.value)


def choose_names(faults: FaultPlan, operation: str, count: int):
    """Return the names of the faults of the next requests."""
    return [fault and fault.name for fault in (faults.choose(OPERATIONS[operation]) for _ in range(count))]


def test_random_faults_repeat_with_the_seed():
    series = [choose_names(FaultPlan({"server-error": 0.5}, seed), "test", 100) for seed in (1, 1, 2)]
    assert series[0] == series[1]
    assert series[0] != series[2]


def test_random_faults_have_their_probabilities():
    """Ten thousand draws from a fixed seed come close to the probabilities."""
    shares = {"drop-before-read": 0.1, "accept-late": 0.2, "server-error": 0.3}
    counts = Counter(choose_names(FaultPlan(shares, 0), "voiceprint", 10_000))
    assert {name: round(count / 10_000, 1) for name, count in counts.items()} == {**shares, None: 0.4}


def test_faults_of_submissions_do_not_affect_other_operations():
    assert set(choose_names(FaultPlan({"accept-late": 0.5, "truncated-json": 0.5}, 0), "job", 100)) == {None}


def test_a_random_rate_limit_comes_in_bursts():
    """After a random `rate-limited`, the next requests of the operation are refused, too."""
    series = choose_names(FaultPlan({"rate-limited": 0.01}, 0), "test", 5_000)
    first = series.index("rate-limited")
    assert series[first : first + 1 + BURST] == ["rate-limited"] * (1 + BURST)
    assert series[first + 1 + BURST] is None


def test_a_burst_affects_one_operation_only():
    faults = FaultPlan({"rate-limited": 0.01}, 0)
    while choose_names(faults, "test", 1) != ["rate-limited"]:
        pass
    assert choose_names(faults, "job", 1) == [None]
    assert choose_names(faults, "test", 1) == ["rate-limited"]
