import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.sandbox.job_registry import JobRegistry
from pyannote_voiceprint_async.sandbox.media import StoredMedia

START = 1_800_000_000.0
GOOD, BAD = (StoredMedia(sha256=b"x" * 32, size=1, usable=usable, stored_at=START) for usable in (True, False))


@pytest.mark.parametrize(
    ("url", "media", "fate"),
    [
        ("https://example.com/voice.wav", None, "succeeded"),
        ("https://example.com/unreachable/voice.wav", None, "failed"),
        ("https://unreachable.example.com/voice.wav?unreachable", None, "succeeded"),
        ("https://example.com/canceled.wav", None, "canceled"),
        ("media://voice.wav", GOOD, "succeeded"),
        ("media://unreachable/canceled.wav", GOOD, "succeeded"),
        ("media://voice.wav", BAD, "failed"),
        ("media://voice.wav", None, "failed"),
    ],
)
def test_the_source_decides_how_a_job_ends(url, media, fate):
    job = JobRegistry((10.0, 10.0), seed=0).accept({"url": url}, media, START)
    assert job.status(START + 10.0) == fate


def test_durations_are_drawn_from_the_range_and_repeat_with_the_seed():
    first, again, other = (
        [jobs.accept({"url": "https://x"}, None, START).seconds for _ in range(50)]
        for jobs in (JobRegistry((0.5, 3.0), 1), JobRegistry((0.5, 3.0), 1), JobRegistry((0.5, 3.0), 2))
    )
    assert first == again
    assert first != other
    assert all(0.5 <= seconds <= 3.0 for seconds in first)
    assert len(set(first)) == 50


def test_a_job_has_the_fields_of_its_submission():
    fields = {
        "url": "https://x",
        "model": "precision-3",
        "webhook": "https://hook",
        "webhookStatusOnly": True,
    }
    job = JobRegistry((1.0, 1.0), 0).accept(fields, None, START)
    assert (job.kind, job.url, job.model) == ("voiceprint", "https://x", "precision-3")
    assert (job.webhook, job.webhook_status_only) == ("https://hook", True)


@pytest.mark.parametrize("fields", [{"url": "https://x"}, {"url": "https://x", "model": None}])
def test_omitted_fields_have_defaults(fields):
    job = JobRegistry((1.0, 1.0), 0).accept(fields, None, START)
    assert (job.model, job.webhook, job.webhook_status_only) == ("precision-2", None, False)


@given(st.integers(0, 40), st.integers(1, 10), st.sampled_from([None, "succeeded", "failed"]))
def test_pages_contain_every_job_once_newest_first(count, limit, status):
    jobs = JobRegistry((1.0, 1.0), 0)
    for index in range(count):
        word = "unreachable" if index % 3 else "voice"
        jobs.accept({"url": f"https://x/{word}/{index}"}, None, START)
    listed, after, more = [], None, True
    while more:
        page, more = jobs.page(limit, after, status, START + 1.0)
        listed += page
        after = page[-1].id if page else None
    expected = [job for job in reversed(jobs.accepted) if status in {None, job.fate}]
    assert listed == expected


def test_newer_jobs_do_not_shift_pages():
    jobs = JobRegistry((1.0, 1.0), 0)
    first, second, third = (jobs.accept({"url": f"https://x/{n}"}, None, START) for n in range(3))
    page, _ = jobs.page(1, None, None, START)
    jobs.accept({"url": "https://x/newer"}, None, START)
    assert page == [third]
    assert jobs.page(2, page[-1].id, None, START) == ([second, first], False)
