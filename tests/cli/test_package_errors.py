import pytest

from pyannote_voiceprint_async import errors
from pyannote_voiceprint_async.cli.package_errors import to_failure

_CLASSES = [
    found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, errors.VoiceprintError)
]


@pytest.mark.parametrize("error", _CLASSES)
def test_every_error_has_a_code(error):
    usage = (errors.ConfigurationError, errors.EnrollmentError)
    expected = 3 if issubclass(error, errors.AccountError) else 2 if issubclass(error, usage) else 1
    failure = to_failure(error("A sentence.", **({} if error is errors.QueueTooLongError else {"status": 400})))
    assert (failure.exit_code, failure.message) == (expected, "A sentence.")


def test_local_checks_are_wrong_usage():
    assert to_failure(errors.InvalidRequestError("Nothing was sent.")).exit_code == 2


@pytest.mark.parametrize("error", [errors.EnrollmentError, errors.ConfigurationError])
def test_an_error_after_a_submission_is_no_wrong_usage(error):
    """Scripts take the code 2 as: nothing was sent."""
    assert to_failure(error("Jobs were created.", outcome_unknown=True)).exit_code == 1


def test_other_errors_have_no_failure():
    assert to_failure(ZeroDivisionError()) is None
