import pytest

from pyannote_voiceprint_async.sandbox.job_scripts import JobScript, JobScripts

URL = "https://example.com/voice.wav"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"seconds": 3}, None),
        ({"job": "canceled"}, "canceled"),
        ({"error": "Could not load audio"}, "failed"),
        ({"job": "failed", "error": "x"}, "failed"),
        ({"output": {}}, "succeeded"),
    ],
)
def test_the_final_status_follows_from_job_error_or_output(fields, expected):
    assert JobScript(**fields).final_status == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"job": "done"}, "'job' must be one of succeeded, failed, canceled, not 'done'."),
        ({"job": "succeeded", "error": "x"}, "'error' belongs to a job that ends as 'failed', not as 'succeeded'."),
        ({"job": "failed", "output": {}}, "'output' belongs to a job that ends as 'succeeded', not as 'failed'."),
        ({"error": "x", "output": {}}, "'error' and 'output' cannot both be the output of one job."),
        ({"seconds": (3, 1)}, "Seconds must be a number, or (low, high)"),
        ({"audio_seconds": 0}, "'audio_seconds' must be a positive number"),
        ({"turns": 0}, "'turns' must be a number from 1 to 1,000,000, not 0."),
        ({"turns": 1_000_001}, "'turns' must be a number from 1 to 1,000,000"),
    ],
)
def test_contradictions_are_refused(fields, message):
    with pytest.raises(ValueError) as caught:
        JobScript(**fields)
    assert message in str(caught.value)


def test_an_output_is_copied_and_must_be_json():
    output = {"diarization": []}
    script = JobScript(output=output)
    output["diarization"].append("later")
    assert script.output == {"diarization": []}
    with pytest.raises(TypeError):
        JobScript(output={"voiceprint": b"bytes"})


def test_the_next_jobs_of_an_operation_have_their_scripts_in_order():
    scripts, one, two = JobScripts(), JobScript(error="one"), JobScript(error="two")
    scripts.add_next(one, "identify", 2)
    scripts.add_next(two, None, 1)
    chosen = [
        scripts.choose(operation, URL) for operation in ("voiceprint", "voiceprint", "identify", "identify", "identify")
    ]
    assert chosen == [two, None, one, one, None]


@pytest.mark.parametrize(
    ("pattern", "url", "matches"),
    [
        (URL, URL, True),
        (URL, URL + "?a=b", False),
        (URL + "*", URL + "?a=b", True),
        ("https://example.com/*.wav", URL, True),
        ("*", "media://voice.wav", True),
        ("https://example.com/[ab].wav?x", "https://example.com/[ab].wav?x", True),
        ("https://example.com/voice?wav", URL, False),
    ],
)
def test_a_star_stands_for_any_characters(pattern, url, matches):
    scripts = JobScripts()
    scripts.add_url(pattern, JobScript(job="failed"), None)
    assert (scripts.choose("voiceprint", url) is not None) is matches


def test_the_newest_script_of_a_url_and_operation_applies_to_every_job():
    scripts, old, new = JobScripts(), JobScript(error="old"), JobScript(error="new")
    scripts.add_url("*", old, None)
    scripts.add_url("*", new, "identify")
    assert [scripts.choose(name, URL) for name in ("identify", "voiceprint", "identify")] == [new, old, new]


def test_the_next_job_comes_before_its_url():
    scripts, of_url, of_next = JobScripts(), JobScript(error="url"), JobScript(error="next")
    scripts.add_url(URL, of_url, None)
    scripts.add_next(of_next, None, 1)
    assert [scripts.choose("voiceprint", URL) for _ in range(2)] == [of_next, of_url]


def test_an_operation_that_submits_no_job_is_refused():
    scripts = JobScripts()
    for add in (lambda: scripts.add_next(JobScript(), "job", 1), lambda: scripts.add_url("*", JobScript(), "upload")):
        with pytest.raises(ValueError) as caught:
            add()
        assert str(caught.value).endswith("The operations are voiceprint, identify.")
    with pytest.raises(ValueError, match="'times' must be 1 or more"):
        scripts.add_next(JobScript(), None, 0)
