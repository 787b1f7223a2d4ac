"""The tree of errors is as its docstring draws it, and every error pickles."""

import copy
import inspect
import pickle
import re

import pytest

from pyannote_voiceprint_async import errors
from pyannote_voiceprint_async.errors import (
    ApiStatusError,
    AuthenticationError,
    FieldError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    QueueTooLongError,
    RateLimitError,
    ServerError,
    SubscriptionRequiredError,
    VoiceprintError,
    status_error_class,
)
from pyannote_voiceprint_async.identification import PartialIdentificationError

CLASSES = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, VoiceprintError)]

DETAILS = {
    "retryable": True,
    "outcome_unknown": True,
    "status": 418,
    "message": "I'm a teapot",
    "request_id": "request-1",
    "job_id": "job-1",
    "retry_after": 1.5,
    "headers": {"date": "now"},
}
DEFAULTS = {
    "retryable": False,
    "outcome_unknown": False,
    "status": None,
    "message": None,
    "request_id": None,
    "job_id": None,
    "retry_after": None,
    "headers": {},
}


def drawn_tree() -> dict[str, str | None]:
    """Return the tree of the docstring as child and parent."""
    parents: list[str] = []
    found: dict[str, str | None] = {}
    for line in errors.__doc__.split("```")[1].strip().splitlines():
        name = re.search(r"\w*Error", line)
        assert name
        depth = name.start() // 4
        found[name.group()] = parents[depth - 1] if depth else None
        parents[depth:] = [name.group()]
    return found


def test_docstring_draws_the_tree():
    actual = {kind.__name__: kind.__base__.__name__ if kind is not VoiceprintError else None for kind in CLASSES}
    # The only error outside of the module: it holds results that only `identification` knows.
    actual |= {"PartialIdentificationError": PartialIdentificationError.__base__.__name__}
    assert actual == drawn_tree()


def test_every_error_is_public():
    import pyannote_voiceprint_async as package

    assert {kind.__name__ for kind in CLASSES} <= set(package.__all__)
    assert {kind.__name__ for kind in CLASSES} <= set(errors.__all__)


def make_full(kind):
    if kind is QueueTooLongError:
        return kind("It is long.", expected_wait=7.5)
    if issubclass(kind, InvalidRequestError):
        return kind("It is wrong.", errors=[FieldError("url", "is wrong")], **DETAILS)
    return kind("It happened.", **DETAILS)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_pickles(kind, protocol):
    """With all details and notes."""
    error = make_full(kind)
    error.add_note("The job is job-1.")
    again = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301
    assert (type(again), str(again), vars(again)) == (kind, str(error), vars(error))
    assert again.__notes__ == ["The job is job-1."]


@pytest.mark.parametrize("copying", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_can_be_copied(kind, copying):
    error = make_full(kind)
    again = copying(error)
    assert again is not error
    assert (type(again), str(again), vars(again)) == (kind, str(error), vars(error))


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind is not QueueTooLongError])
def test_every_error_keeps_its_details(kind):
    error = make_full(kind)
    assert {name: getattr(error, name) for name in DETAILS} == DETAILS


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind is not QueueTooLongError])
def test_details_are_empty_by_default(kind):
    """Both flags are False unless they are set."""
    error = kind()
    assert {name: getattr(error, name) for name in DEFAULTS} == DEFAULTS
    assert str(error) == ""


def test_queue_too_long_error():
    error = QueueTooLongError("Too long.", expected_wait=7.5)
    assert (error.expected_wait, error.retry_after, error.retryable, error.outcome_unknown) == (7.5, 7.5, True, False)


def test_invalid_request_error_lists_its_errors():
    assert InvalidRequestError("Wrong.").errors == ()
    assert InvalidRequestError(errors=[FieldError("url", "x")]).errors == (FieldError("url", "x"),)


def test_headers_are_copied():
    headers = {"date": "now"}
    error = VoiceprintError(headers=headers)
    headers.clear()
    assert error.headers == {"date": "now"}


@pytest.mark.parametrize("kind", CLASSES)
def test_unknown_argument_is_a_type_error(kind):
    with pytest.raises(TypeError):
        kind("x", unknown=1)
    with pytest.raises(TypeError):
        kind("x", "y")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (402, SubscriptionRequiredError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (405, ApiStatusError),
        (408, ApiStatusError),
        (422, InvalidRequestError),
        (429, RateLimitError),
        (499, ApiStatusError),
        (500, ServerError),
        (503, ServerError),
        (599, ServerError),
    ],
)
def test_error_class_of_a_status(status, kind):
    assert status_error_class(status) is kind


def test_every_status_maps_to_an_api_status_error():
    assert {issubclass(status_error_class(status), ApiStatusError) for status in range(400, 600)} == {True}
