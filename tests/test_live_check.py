"""The check of the real API, against a sandbox that behaves in each way that the documents describe."""

import importlib.util
import sys
from pathlib import Path

import pytest

from pyannote_voiceprint_async.sandbox import Sandbox, voiceprint_of

pytestmark = pytest.mark.bench

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "live_check.py"
KEY = "sk-0123456789abcdef"


def load():
    spec = importlib.util.spec_from_file_location("live_check", SCRIPT)
    sys.modules["live_check"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


live_check = load()
ApiResponse, Observations = live_check.ApiResponse, live_check.Observations


@pytest.fixture
def check(start):
    """Return a function that checks a sandbox with these settings, and returns the sandbox and the observations."""

    async def check(*, provoke=False, faults=(), key=KEY, **settings):
        sandbox = await start(Sandbox(api_key=KEY, job_seconds=0.05, **settings))
        for operation in faults:
            sandbox.fail_next(faults[operation], operation=operation)
        observed = await live_check.observe(sandbox.url, key, provoke=provoke, pause=0.01, patience=10.0)
        return sandbox, observed

    return check


def verdicts(observed):
    return {assumption: verdict(observed) for assumption, verdict in live_check.ASSUMPTIONS}


# Against a sandbox

RESET = "unit of X-RateLimit-Reset"
HEADERS = "rate limit headers on 2xx, first of each"
SHARED = "rate limits shared between operations"
NESTED = "nested keys, media://a/b.wav"
UNDERSCORED = "underscored keys, media://a_b.wav"
CHUNKED = "presigned PUT with a chunked body"
AUTHORIZED = "presigned PUT with Authorization"
CANCELED = "spelling of a canceled job"
UPDATED = "updatedAt of a job"
LISTED = "GET /v2/jobs exists"
FAILED = "output of a failed job"
POSTED = "status of the responses to POST"
TYPES = "content types"
WARNED = "warning fields"
UNKNOWN = "fields that the OpenAPI does not name"

LISTED_FIELDS = ("completedAt", "model", "quantity", "reason", "source", "type")
USED = "accepted with 201; its job succeeded (key: nested and underscored)"
NO_HEADERS = "\n".join(f"{operation}: none" for operation in live_check.KNOWN_FIELDS)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"headers": True}, {SHARED: "each tested operation has its own limit"}),
        ({"headers": False}, {SHARED: "not seen: no X-RateLimit-Remaining to compare", HEADERS: NO_HEADERS}),
        ({"shared_limit": True}, {SHARED: "all tested operations share one limit"}),
        ({"shared_limit": True, "media_keys": "flat"}, {SHARED: "all tested operations share one limit"}),
        ({"media_keys": "any"}, {NESTED: USED, UNDERSCORED: USED}),
        ({"media_keys": "flat"}, {NESTED: "refused with 400", UNDERSCORED: "refused with 400"}),
        ({"chunked_put": True}, {CHUNKED: "accepted with 200", AUTHORIZED: "refused with 400"}),
        ({"chunked_put": False}, {CHUNKED: "refused with 501", AUTHORIZED: "refused with 400"}),
        ({"failed_output": "error"}, {FAILED: "output.error is present"}),
        ({"failed_output": "null"}, {FAILED: "output is null"}),
        ({"failed_output": "missing"}, {FAILED: "no output"}),
    ],
    ids=str,
)
async def test_each_form_of_the_api_is_recognized(check, settings, expected):
    sandbox, observed = await check(**settings)
    found = verdicts(observed)
    assert {assumption: found[assumption] for assumption in expected} == expected
    assert observed.stopped_by == ""
    assert len(sandbox.accepted) <= 3


async def test_verdicts_that_are_the_same_for_every_sandbox(check):
    _, observed = await check()
    found = verdicts(observed)
    expected = {
        RESET: "not seen: no request was refused with 429 (--provoke-429 provokes one with key tests, which are free)",
        CANCELED: (
            "not seen in a job\nas a filter, canceled is accepted with 200\nas a filter, cancelled is refused with 400"
        ),
        LISTED: "yes, without outputs, with items, nextCursor null",
        POSTED: "POST /v1/media/input: 201\nPOST /v1/voiceprint: 200",
        TYPES: "application/json; charset=utf-8 everywhere",
        WARNED: "not seen",
        # The list of the sandbox has fields of the real API that its OpenAPI file lacks.
        UNKNOWN: "\n".join(f"items.*.{name} (GET /v2/jobs: 200)" for name in LISTED_FIELDS),
    }
    assert {assumption: found[assumption] for assumption in expected} == expected
    assert "GET /v1/test: x-ratelimit-limit 100, x-ratelimit-remaining 99" in found[HEADERS].splitlines()
    assert "present in" in found[UPDATED]


async def test_the_check_submits_three_jobs_and_one_fails(check):
    sandbox, _ = await check()
    assert [job.fate for job in sandbox.accepted] == ["succeeded", "failed", "succeeded"]


@pytest.mark.parametrize(
    ("reset_header", "expected"), [("delta", "seconds until the reset"), ("epoch", "UTC epoch seconds")]
)
async def test_a_429_is_provoked_with_key_tests_only(check, reset_header, expected):
    """At most one more than the limit is sent, after all other requests."""
    sandbox, observed = await check(provoke=True, reset_header=reset_header, rate_limit=(30, 60.0))
    counts = sandbox.state.operations
    assert verdicts(observed)[RESET] == expected
    assert {name for name, tally in counts.items() if tally.rate_limited} == {"test"}
    assert counts["test"].requests <= 4 + 30 + 1
    assert len(sandbox.accepted) == 3


async def test_no_429_is_provoked_by_default(check):
    sandbox, _ = await check(rate_limit=(30, 60.0))
    assert sandbox.state.total.rate_limited == 0


async def test_a_request_is_repeated_after_a_429(check):
    """The refused submission was not accepted, so it is sent again."""
    sandbox, observed = await check(faults={"voiceprint": "rate-limited"})
    assert (observed.stopped_by, len(sandbox.accepted)) == ("", 3)
    assert verdicts(observed)[RESET] == "seconds until the reset"


async def test_a_submission_without_a_response_ends_the_check(check):
    """It may be billed: it is not sent again, and a message reports it."""
    sandbox, observed = await check(faults={"voiceprint": "drop-after-accept"})
    assert len(sandbox.accepted) == 1
    assert observed.stopped_by.startswith("The job (real speech) was submitted, but no response arrived.")
    assert verdicts(observed)[FAILED] == "not seen"


async def test_a_key_that_is_not_accepted_ends_the_check(check):
    sandbox, observed = await check(key="another")
    assert observed.stopped_by == "The key was not accepted (status 401). Nothing was submitted."
    assert (len(sandbox.accepted), sandbox.state.total.requests) == (0, 1)


# Verdicts that no sandbox causes


def refused(word):
    return ApiResponse("GET /v1/test", 429, {} if word is None else {"x-ratelimit-reset": word})


def used(*pairs):
    """Return the observations of accepted responses, as pairs of operation and Remaining."""
    return Observations(
        [ApiResponse(operation, 200, {"x-ratelimit-remaining": str(left)}) for operation, left in pairs]
    )


def read(body, status=200):
    return ApiResponse("GET /v1/jobs/{jobId}", status, {"content-type": "text/html"}, body)


TEST, MEDIA, SUBMIT = live_check.TEST, live_check.MEDIA, live_check.SUBMIT
ACCEPTED = ApiResponse(MEDIA, 201)
MADE = ApiResponse(SUBMIT, 200, body={"jobId": "1"})


@pytest.mark.parametrize(
    ("assumption", "observed", "expected"),
    [
        (RESET, Observations([refused("60")]), "seconds until the reset"),
        (RESET, Observations([refused("1753000000")]), "UTC epoch seconds"),
        (RESET, Observations([refused("1753000000000")]), "UTC epoch in milliseconds"),
        (RESET, Observations([refused("soon")]), "not a number"),
        (RESET, Observations([refused(None)]), "a 429 had no such header"),
        (HEADERS, Observations(), "not seen"),
        (HEADERS, Observations([refused("60")]), "not seen"),
        (SHARED, used((TEST, 99), (MEDIA, 99), (TEST, 98)), "each tested operation has its own limit"),
        (SHARED, used((TEST, 99), (MEDIA, 98), (TEST, 97)), "all tested operations share one limit"),
        # Submissions and media share a limit; key tests have their own.
        (
            SHARED,
            used((TEST, 99), (MEDIA, 99), (SUBMIT, 98), (TEST, 98), (MEDIA, 97)),
            (
                "shared: POST /v1/media/input and POST /v1/voiceprint\n"
                "separate: GET /v1/test and POST /v1/media/input, GET /v1/test and POST /v1/voiceprint"
            ),
        ),
        # Another program uses the key.
        (SHARED, used((TEST, 99), (MEDIA, 99), (TEST, 90)), "unclear: GET /v1/test and POST /v1/media/input"),
        # A new window began.
        (SHARED, used((TEST, 3), (MEDIA, 99), (TEST, 99)), "not seen: no X-RateLimit-Remaining to compare"),
        (NESTED, Observations(), "not seen"),
        (NESTED, Observations(keys={"nested": ACCEPTED}), "accepted with 201, not used"),
        (
            NESTED,
            Observations(keys={"nested": ACCEPTED}, puts={"nested": 403}),
            "accepted with 201; its upload was refused (403) (key: nested)",
        ),
        (
            NESTED,
            Observations(
                keys={"nested": ACCEPTED},
                puts={"nested": 200},
                submissions={"nested": ApiResponse(SUBMIT, 400)},
            ),
            "accepted with 201; uploaded, but its submission was refused with 400 (key: nested)",
        ),
        (
            NESTED,
            Observations(keys={"nested": ACCEPTED}, puts={"nested": 200}, submissions={"nested": MADE}),
            "accepted with 201; its job has not ended yet (key: nested)",
        ),
        (CHUNKED, Observations(), "not seen"),
        (CHUNKED, Observations(puts={"plain": 200, "chunked": 0}), "refused: the connection was cut"),
        (
            CHUNKED,
            Observations(puts={"plain": 403, "chunked": 403}),
            "refused with 403; but a plain upload was refused too (403)",
        ),
        (AUTHORIZED, Observations(puts={"plain": 200, "authorized": 200}), "accepted with 200"),
        (CANCELED, Observations([read({"status": "cancelled"})]), "cancelled (jobs: 1)"),
        (
            CANCELED,
            Observations(
                [ApiResponse("GET /v2/jobs", 200, body={"items": [{"status": "canceled"}, {"status": {}}, 7]})]
            ),
            "canceled (jobs: 1)",
        ),
        (UPDATED, Observations(), "not seen"),
        (
            UPDATED,
            Observations([read({}), read({"updatedAt": None}), read(None)]),
            "missing in 2 of 3 responses\nnull in 1 of 3 responses",
        ),
        (LISTED, Observations(), "not seen"),
        (LISTED, Observations([ApiResponse("GET /v2/jobs", 404)]), "no: 404"),
        (
            LISTED,
            Observations([ApiResponse("GET /v2/jobs", 200, body={"items": [{"output": {}}]})]),
            "yes, with outputs, with items, nextCursor missing",
        ),
        (FAILED, Observations(), "not seen"),
        (
            FAILED,
            Observations(submissions={"never uploaded": ApiResponse(SUBMIT, 400)}),
            "no job: the submission was refused with 400",
        ),
        (FAILED, Observations(submissions={"never uploaded": MADE}), "not seen: the job has not ended yet"),
        (
            FAILED,
            Observations(submissions={"never uploaded": MADE}, jobs={"never uploaded": read({"status": "succeeded"})}),
            "not seen: the job succeeded",
        ),
        (
            FAILED,
            Observations(
                submissions={"never uploaded": MADE},
                jobs={"never uploaded": read({"status": "failed", "output": {"warning": "?"}})},
            ),
            "output.error is missing",
        ),
        (POSTED, Observations(), "not seen"),
        (
            TYPES,
            Observations([read({}), ApiResponse(TEST, 200)]),
            "GET /v1/test: none\nGET /v1/jobs/{jobId}: text/html",
        ),
        (WARNED, Observations([read({"output": {"warning": "long"}})]), "output.warning (GET /v1/jobs/{jobId}: 200)"),
        (
            UNKNOWN,
            Observations([read({"output": {"spans": [{"at": 1}]}, "status": "failed"}), read({"code": 7}, status=404)]),
            (
                "code (GET /v1/jobs/{jobId}: 404)\n"
                "output.spans (GET /v1/jobs/{jobId}: 200)\n"
                "output.spans.*.at (GET /v1/jobs/{jobId}: 200)"
            ),
        ),
    ],
)
def test_verdicts(assumption, observed, expected):
    assert verdicts(observed)[assumption] == expected


def test_every_verdict_is_text_even_when_nothing_was_seen():
    assert all(verdicts(Observations()).values())


@pytest.mark.parametrize("body", [None, [], 7, "text", {"items": 7, "status": [], "output": [], "url": 7}])
def test_unexpected_bodies_cause_no_error(body):
    """The table is printed whatever the API responds."""
    responses = [ApiResponse(operation, 200, body=body) for operation in live_check.KNOWN_FIELDS]
    observed = Observations(
        responses, submissions={"never uploaded": responses[2]}, jobs={"never uploaded": responses[3]}
    )
    assert all(verdicts(observed).values())


# As a program


async def test_no_secret_is_printed(check, capsys, speech):
    """Neither the key nor a presigned URL nor a voiceprint."""
    sandbox, observed = await check()
    live_check.report(observed)
    printed = "".join(capsys.readouterr())
    secrets = [KEY, "X-Amz", "_media", "media://live", voiceprint_of((speech / "allison-en.wav").read_bytes())[:40]]
    assert [secret for secret in secrets if secret in printed] == []
    assert [job.id for job in sandbox.accepted if job.id not in printed] == []
    assert KEY not in repr(observed)


def test_without_a_key_a_message_says_what_to_do(capsys):
    assert live_check.main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == ("Set PYANNOTEAI_API_KEY or PYANNOTE_API_KEY to a key, or try the script with --sandbox.\n")


def test_the_sandbox_needs_no_key(capsys):
    assert live_check.main(["--sandbox"]) == 0
    titles = [assumption for assumption, _ in live_check.ASSUMPTIONS]
    lines = capsys.readouterr().out.splitlines()
    assert [title for title in titles if not any(line.startswith(title) for line in lines)] == []
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    ("key", "code", "message"), [("key", 1, "The API did not respond"), ("k\ney", 2, "a line break")]
)
def test_a_failed_check_prints_one_sentence(monkeypatch, capsys, key, code, message):
    """A traceback would contain the headers of the request."""
    monkeypatch.setenv("PYANNOTE_API_KEY", key)
    monkeypatch.setenv("PYANNOTEAI_BASE_URL", "http://127.0.0.1:9")
    assert live_check.main([]) == code
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert message in printed.err
