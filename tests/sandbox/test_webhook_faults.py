from collections import Counter

import pytest

from pyannote_voiceprint_async.sandbox import WEBHOOK_FAULTS, Sandbox
from pyannote_voiceprint_async.sandbox.webhook_faults import WebhookFaultPlan


def choose_names(faults: WebhookFaultPlan, count: int):
    """Return the names of the faults of the next webhooks."""
    return [fault and fault.name for fault in (faults.choose() for _ in range(count))]


def test_there_are_four_faults():
    assert list(WEBHOOK_FAULTS) == ["duplicate", "early", "lost", "tampered"]


def test_random_faults_repeat_with_the_seed():
    series = [choose_names(WebhookFaultPlan({"lost": 0.5}, seed), 100) for seed in (1, 1, 2)]
    assert series[0] == series[1]
    assert series[0] != series[2]


def test_random_faults_have_their_probabilities():
    """Ten thousand draws from a fixed seed come close to the probabilities."""
    shares = {"duplicate": 0.1, "early": 0.2, "lost": 0.3}
    counts = Counter(choose_names(WebhookFaultPlan(shares, 0), 10_000))
    assert {name: round(count / 10_000, 1) for name, count in counts.items()} == {**shares, None: 0.4}


def test_scripted_faults_come_before_random_ones():
    faults = WebhookFaultPlan({"tampered": 1.0}, 0)
    faults.script(["lost", "early"])
    assert choose_names(faults, 3) == ["lost", "early", "tampered"]


def test_a_script_with_an_unknown_name_is_refused_as_a_whole():
    sandbox = Sandbox()
    with pytest.raises(ValueError) as caught:
        sandbox.fail_next_webhook(["lost", "server-error"])
    assert str(caught.value) == "There is no fault 'server-error'. The faults are duplicate, early, lost, tampered."
    assert sandbox._api.webhooks.choose_fault() is None
