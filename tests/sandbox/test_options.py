import pytest

from pyannote_voiceprint_async.sandbox import Limit, parse_fault, parse_limit, parse_range, parse_webhook_fault


@pytest.mark.parametrize(
    ("text", "limit"),
    [("100/60", Limit(100, 60.0)), ("5/0.5", Limit(5, 0.5)), ("1/.5", Limit(1, 0.5))],
)
def test_a_limit_is_requests_per_seconds(text, limit):
    assert parse_limit(text) == limit


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0.5:3", (0.5, 3.0)), ("1", (1.0, 1.0)), ("0", (0.0, 0.0)), ("2:2", (2.0, 2.0))],
)
def test_a_range_is_one_number_or_two(text, seconds):
    assert parse_range(text) == seconds


@pytest.mark.parametrize(
    ("text", "fault"),
    [("drop-after-accept=0.02", ("drop-after-accept", 0.02)), ("server-error=1", ("server-error", 1.0))],
)
def test_a_fault_is_a_name_and_a_probability(text, fault):
    assert parse_fault(text) == fault


def test_a_fault_of_webhooks_is_a_name_and_a_probability():
    assert parse_webhook_fault("lost=0.02") == ("lost", 0.02)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_limit, "100", "A limit must have the form REQUESTS/SECONDS"),
        (parse_limit, "ten/60", "A limit must have the form REQUESTS/SECONDS"),
        (parse_limit, "1.5/60", "A limit must have the form REQUESTS/SECONDS"),
        (parse_limit, "100/inf", "A limit must have the form REQUESTS/SECONDS"),
        (parse_limit, "0/60", "must be a positive number, not 0"),
        (parse_limit, "100/0", "must be a positive number, not 0.0"),
        (parse_range, "", "A range must have the form SECONDS or LOW:HIGH"),
        (parse_range, "3:1", "A range must have the form SECONDS or LOW:HIGH"),
        (parse_range, "-1", "A range must have the form SECONDS or LOW:HIGH"),
        (parse_range, "1:2:3", "A range must have the form SECONDS or LOW:HIGH"),
        (parse_range, "nan", "A range must have the form SECONDS or LOW:HIGH"),
        (parse_fault, "server-error", "A fault must have the form NAME=PROBABILITY"),
        (parse_fault, "server-error=often", "A fault must have the form NAME=PROBABILITY"),
        (parse_fault, "server-error=1.5", "must be between 0 and 1, not 1.5"),
        (parse_fault, "gremlins=0.1", "There is no fault 'gremlins'. The faults are drop-before-read, "),
        (parse_webhook_fault, "lost", "A fault must have the form NAME=PROBABILITY"),
        (
            parse_webhook_fault,
            "server-error=0.1",
            "There is no fault 'server-error'. The faults are duplicate, early, ",
        ),
    ],
)
def test_invalid_syntax_raises_an_error_with_the_right_syntax(parse, text, message):
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert str(caught.value).endswith(".")
