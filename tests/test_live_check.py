"""The check of the real API, held against a sandbox that behaves in each of the ways that the documents tell."""

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
Exchange, Seen = live_check.Exchange, live_check.Seen


@pytest.fixture
def look(start):
    """Make the check against a sandbox of these settings; give the sandbox and what was seen."""

    async def look(*, provoke=False, faults=(), key=KEY, **settings):
        sandbox = await start(Sandbox(api_key=KEY, job_seconds=0.05, **settings))
        for operation in faults:
            sandbox.fail_next(faults[operation], operation=operation)
        seen = await live_check.look(sandbox.url, key, provoke=provoke, pause=0.01, patience=10.0)
        return sandbox, seen

    return look


def verdicts(seen):
    return {assumption: error_flags(seen) for assumption, error_flags in live_check.ASSUMPTIONS}


# Against a sandbox

RESET = "unit of X-RateLimit-Reset"
HEADERS = "rate limit headers on 2xx, first of each"
SHARED = "budgets shared between operations"
NESTED = "nested keys, media://a/b.wav"
UNDERSCORED = "underscored keys, media://a_b.wav"
CHUNKED = "presigned PUT with a chunked body"
AUTHORIZED = "presigned PUT with Authorization"
CANCELED = "spelling of a canceled job"
UPDATED = "updatedAt of a job"
LISTED = "GET /v2/jobs exists"
FAILED = "output of a failed job"
POSTED = "status of the answers to POST"
TYPES = "content types"
WARNED = "warning fields"
UNKNOWN = "fields that the OpenAPI does not name"

USED = "accepted with 201; its job succeeded (key: nested and underscored)"
NO_HEADERS = "\n".join(f"{operation}: nothing" for operation in live_check.KNOWN_FIELDS)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"headers": True}, {SHARED: "each operation seen has its own"}),
        ({"headers": False}, {SHARED: "not seen: no X-RateLimit-Remaining to compare", HEADERS: NO_HEADERS}),
        ({"shared_budgets": True}, {SHARED: "one budget for all operations seen"}),
        ({"shared_budgets": True, "media_keys": "flat"}, {SHARED: "one budget for all operations seen"}),
        ({"media_keys": "any"}, {NESTED: USED, UNDERSCORED: USED}),
        ({"media_keys": "flat"}, {NESTED: "refused with 400", UNDERSCORED: "refused with 400"}),
        ({"chunked_put": True}, {CHUNKED: "accepted with 200", AUTHORIZED: "refused with 400"}),
        ({"chunked_put": False}, {CHUNKED: "refused with 501", AUTHORIZED: "refused with 400"}),
        ({"failed_output": "error"}, {FAILED: "output.error is there"}),
        ({"failed_output": "null"}, {FAILED: "output is null"}),
        ({"failed_output": "missing"}, {FAILED: "no output"}),
    ],
    ids=str,
)
async def test_each_form_of_the_api_is_recognised(look, settings, expected):
    sandbox, seen = await look(**settings)
    found = verdicts(seen)
    assert {assumption: found[assumption] for assumption in expected} == expected
    assert seen.stopped_by == ""
    assert len(sandbox.accepted) <= 3


async def test_what_is_the_same_in_every_sandbox(look):
    _, seen = await look()
    found = verdicts(seen)
    expected = {
        RESET: "not seen: no 429 came (--provoke-429 draws one with key tests, which are free)",
        CANCELED: (
            "not seen in a job\nas a filter, canceled is accepted with 200\nas a filter, cancelled is refused with 400"
        ),
        LISTED: "yes, without outputs, with items, nextCursor null",
        POSTED: "POST /v1/media/input: 201\nPOST /v1/voiceprint: 200",
        TYPES: "application/json; charset=utf-8 everywhere",
        WARNED: "not seen",
        UNKNOWN: "none",
    }
    assert {assumption: found[assumption] for assumption in expected} == expected
    assert "GET /v1/test: x-ratelimit-limit 100, x-ratelimit-remaining 99" in found[HEADERS].splitlines()
    assert "there in" in found[UPDATED]


async def test_it_makes_three_jobs_and_one_of_them_fails(look):
    sandbox, _ = await look()
    assert [job.fate for job in sandbox.accepted] == ["succeeded", "failed", "succeeded"]


@pytest.mark.parametrize(
    ("reset_header", "expected"), [("delta", "seconds until the reset"), ("epoch", "UTC epoch seconds")]
)
async def test_a_429_is_provoked_with_key_tests_only(look, reset_header, expected):
    """And with no more of them than the limit and one, after all else is done."""
    sandbox, seen = await look(provoke=True, reset_header=reset_header, rate_limit=(30, 60.0))
    counts = sandbox.state.operations
    assert verdicts(seen)[RESET] == expected
    assert {name for name, tally in counts.items() if tally.rate_limited} == {"test"}
    assert counts["test"].requests <= 4 + 30 + 1
    assert len(sandbox.accepted) == 3


async def test_without_being_asked_it_provokes_nothing(look):
    sandbox, _ = await look(rate_limit=(30, 60.0))
    assert sandbox.state.total.rate_limited == 0


async def test_a_429_on_the_way_is_waited_for(look):
    """The submission that was refused is sent again; it was no job."""
    sandbox, seen = await look(faults={"voiceprint": "rate-limited"})
    assert (seen.stopped_by, len(sandbox.accepted)) == ("", 3)
    assert verdicts(seen)[RESET] == "seconds until the reset"


async def test_a_submission_without_an_answer_ends_the_check(look):
    """It may be a bill: it is not sent again, and the reader is told."""
    sandbox, seen = await look(faults={"voiceprint": "drop-after-accept"})
    assert len(sandbox.accepted) == 1
    assert seen.stopped_by.startswith("The job (real speech) was submitted, but no answer came.")
    assert verdicts(seen)[FAILED] == "not seen"


async def test_a_key_that_is_not_accepted_ends_the_check(look):
    sandbox, seen = await look(key="another")
    assert seen.stopped_by == "The key was not accepted (status 401). Nothing was submitted."
    assert (len(sandbox.accepted), sandbox.state.total.requests) == (0, 1)


# The verdicts that no sandbox gives


def refused(word):
    return Exchange("GET /v1/test", 429, {} if word is None else {"x-ratelimit-reset": word})


def used(*log):
    """What was seen of `(operation, Remaining)`."""
    return Seen([Exchange(operation, 200, {"x-ratelimit-remaining": str(left)}) for operation, left in log])


def read(body, status=200):
    return Exchange("GET /v1/jobs/{jobId}", status, {"content-type": "text/html"}, body)


TEST, MEDIA, SUBMIT = live_check.TEST, live_check.MEDIA, live_check.SUBMIT
ACCEPTED = Exchange(MEDIA, 201)
MADE = Exchange(SUBMIT, 200, body={"jobId": "1"})


@pytest.mark.parametrize(
    ("assumption", "seen", "expected"),
    [
        (RESET, Seen([refused("60")]), "seconds until the reset"),
        (RESET, Seen([refused("1753000000")]), "UTC epoch seconds"),
        (RESET, Seen([refused("1753000000000")]), "UTC epoch in milliseconds"),
        (RESET, Seen([refused("soon")]), "not a number"),
        (RESET, Seen([refused(None)]), "a 429 came without it"),
        (HEADERS, Seen(), "not seen"),
        (HEADERS, Seen([refused("60")]), "not seen"),
        (SHARED, used((TEST, 99), (MEDIA, 99), (TEST, 98)), "each operation seen has its own"),
        (SHARED, used((TEST, 99), (MEDIA, 98), (TEST, 97)), "one budget for all operations seen"),
        # The submission shares with media, the key test with nobody.
        (
            SHARED,
            used((TEST, 99), (MEDIA, 99), (SUBMIT, 98), (TEST, 98), (MEDIA, 97)),
            (
                "shared: POST /v1/media/input and POST /v1/voiceprint\n"
                "separate: GET /v1/test and POST /v1/media/input, GET /v1/test and POST /v1/voiceprint"
            ),
        ),
        # Somebody else uses the key.
        (SHARED, used((TEST, 99), (MEDIA, 99), (TEST, 90)), "unclear: GET /v1/test and POST /v1/media/input"),
        # The window turned over.
        (SHARED, used((TEST, 3), (MEDIA, 99), (TEST, 99)), "not seen: no X-RateLimit-Remaining to compare"),
        (NESTED, Seen(), "not seen"),
        (NESTED, Seen(keys={"nested": ACCEPTED}), "accepted with 201, not used"),
        (
            NESTED,
            Seen(keys={"nested": ACCEPTED}, puts={"nested": 403}),
            "accepted with 201; its upload was refused (403) (key: nested)",
        ),
        (
            NESTED,
            Seen(
                keys={"nested": ACCEPTED},
                puts={"nested": 200},
                submissions={"nested": Exchange(SUBMIT, 400)},
            ),
            "accepted with 201; uploaded, but its submission was refused with 400 (key: nested)",
        ),
        (
            NESTED,
            Seen(keys={"nested": ACCEPTED}, puts={"nested": 200}, submissions={"nested": MADE}),
            "accepted with 201; its job has not ended yet (key: nested)",
        ),
        (CHUNKED, Seen(), "not seen"),
        (CHUNKED, Seen(puts={"plain": 200, "chunked": 0}), "refused: the connection broke off"),
        (
            CHUNKED,
            Seen(puts={"plain": 403, "chunked": 403}),
            "refused with 403; but a plain one was not accepted either (403)",
        ),
        (AUTHORIZED, Seen(puts={"plain": 200, "authorized": 200}), "accepted with 200"),
        (CANCELED, Seen([read({"status": "cancelled"})]), "cancelled (jobs: 1)"),
        (
            CANCELED,
            Seen([Exchange("GET /v2/jobs", 200, body={"items": [{"status": "canceled"}, {"status": {}}, 7]})]),
            "canceled (jobs: 1)",
        ),
        (UPDATED, Seen(), "not seen"),
        (
            UPDATED,
            Seen([read({}), read({"updatedAt": None}), read(None)]),
            "missing in 2 of 3 answers\nnull in 1 of 3 answers",
        ),
        (LISTED, Seen(), "not seen"),
        (LISTED, Seen([Exchange("GET /v2/jobs", 404)]), "no: 404"),
        (
            LISTED,
            Seen([Exchange("GET /v2/jobs", 200, body={"items": [{"output": {}}]})]),
            "yes, with outputs, with items, nextCursor missing",
        ),
        (FAILED, Seen(), "not seen"),
        (
            FAILED,
            Seen(submissions={"never uploaded": Exchange(SUBMIT, 400)}),
            "no job: the submission was refused with 400",
        ),
        (FAILED, Seen(submissions={"never uploaded": MADE}), "not seen: the job has not ended yet"),
        (
            FAILED,
            Seen(submissions={"never uploaded": MADE}, jobs={"never uploaded": read({"status": "succeeded"})}),
            "not seen: the job succeeded",
        ),
        (
            FAILED,
            Seen(
                submissions={"never uploaded": MADE},
                jobs={"never uploaded": read({"status": "failed", "output": {"warning": "?"}})},
            ),
            "output.error is missing",
        ),
        (POSTED, Seen(), "not seen"),
        (TYPES, Seen([read({}), Exchange(TEST, 200)]), "GET /v1/test: none\nGET /v1/jobs/{jobId}: text/html"),
        (WARNED, Seen([read({"output": {"warning": "long"}})]), "output.warning (GET /v1/jobs/{jobId}: 200)"),
        (
            UNKNOWN,
            Seen([read({"output": {"spans": [{"at": 1}]}, "status": "failed"}), read({"code": 7}, status=404)]),
            (
                "code (GET /v1/jobs/{jobId}: 404)\n"
                "output.spans (GET /v1/jobs/{jobId}: 200)\n"
                "output.spans.*.at (GET /v1/jobs/{jobId}: 200)"
            ),
        ),
    ],
)
def test_verdicts(assumption, seen, expected):
    assert verdicts(seen)[assumption] == expected


def test_every_verdict_is_text_even_when_nothing_was_seen():
    assert all(verdicts(Seen()).values())


@pytest.mark.parametrize("body", [None, [], 7, "text", {"items": 7, "status": [], "output": [], "url": 7}])
def test_no_answer_is_too_odd_for_a_verdict(body):
    """Whatever the API answers, the table is printed."""
    answers = [Exchange(operation, 200, body=body) for operation in live_check.KNOWN_FIELDS]
    seen = Seen(answers, submissions={"never uploaded": answers[2]}, jobs={"never uploaded": answers[3]})
    assert all(verdicts(seen).values())


# As a program


async def test_nothing_secret_is_printed(look, capsys, speech):
    """Neither the key nor a presigned URL nor a voiceprint."""
    sandbox, seen = await look()
    live_check.report(seen)
    printed = "".join(capsys.readouterr())
    secrets = [KEY, "X-Amz", "_media", "media://live", voiceprint_of((speech / "allison-en.wav").read_bytes())[:40]]
    assert [secret for secret in secrets if secret in printed] == []
    assert [job.id for job in sandbox.accepted if job.id not in printed] == []
    assert KEY not in repr(seen)


def test_without_a_key_it_says_what_to_do(capsys):
    assert live_check.main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "Put a key into PYANNOTEAI_API_KEY or PYANNOTE_API_KEY, or add --sandbox to see what this does.\n"
    )


def test_the_sandbox_needs_no_key(capsys):
    assert live_check.main(["--sandbox"]) == 0
    titles = [assumption for assumption, _ in live_check.ASSUMPTIONS]
    lines = capsys.readouterr().out.splitlines()
    assert [title for title in titles if not any(line.startswith(title) for line in lines)] == []
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(("key", "code", "said"), [("key", 1, "The API did not answer"), ("k\ney", 2, "a line break")])
def test_what_cannot_work_is_a_sentence(monkeypatch, capsys, key, code, said):
    """No traceback: it would hold the request's headers."""
    monkeypatch.setenv("PYANNOTE_API_KEY", key)
    monkeypatch.setenv("PYANNOTEAI_BASE_URL", "http://127.0.0.1:9")
    assert live_check.main([]) == code
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert said in printed.err
