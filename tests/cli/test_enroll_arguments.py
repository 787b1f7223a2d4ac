"""The arguments of `enroll`: which files they mean, and what is refused before a ledger is created."""

from pathlib import Path

import click
import pytest

from pyannote_voiceprint_async.cli.enroll_arguments import EnrollArguments
from pyannote_voiceprint_async.cli.options import CommonOptions
from pyannote_voiceprint_async.enrollment.options import Options


def arguments(*sources, sandbox=False, rate_limit=None, **changes) -> EnrollArguments:
    defaults = dict.fromkeys(("ledger_option", "out", "report", "label_column", "source_column"))
    common = CommonOptions(sandbox=sandbox, rate_limit=rate_limit)
    flags = {"force": False, "dry_run": False, "yes": False, "options": Options()}
    return EnrollArguments(**{**defaults, **flags, "common": common, "sources": sources, **changes})


@pytest.mark.parametrize(
    ("sources", "options", "ledger"),
    [
        (["l.csv"], {}, "l.ledger"),
        (["l.csv"], {"sandbox": True}, "l.sandbox.ledger"),
        (["a.wav", "b.wav"], {}, "voiceprints.ledger"),
        (["a.wav"], {"sandbox": True}, "voiceprints.sandbox.ledger"),
        (["l.csv"], {"ledger_option": Path("mine.db")}, "mine.db"),
    ],
)
def test_the_ledger_is_named_like_the_list_and_the_sandbox_has_its_own(sources, options, ledger):
    found = arguments(*sources, **options)
    assert (found.ledger, found.sandbox_store) == (Path(ledger), Path(f"{ledger}.server"))


@pytest.mark.parametrize(
    ("out", "expected"),
    [(None, None), ("o.csv", "csv"), ("o.jsonl", "jsonl"), ("o.json", "json"), ("o.txt", None), ("/dev/null", "jsonl")],
)
def test_the_format_of_the_output_is_that_of_its_suffix(out, expected):
    assert arguments("l.csv", out=out and Path(out)).out_format == expected


@pytest.mark.parametrize(
    ("sources", "options", "message"),
    [
        (["l.csv", "a.wav"], {}, "is a list of speakers: pass it alone"),
        (["gone.csv"], {}, "gone.csv: no such file"),
        (["a.wav"], {"source_column": "x"}, "need a list of speakers"),
        (["people.XLSX"], {}, "is not a recording"),
        (["a.wav"], {"out": Path("o.txt")}, "--out must end in"),
    ],
)
def test_contradictions_are_refused(audio, sources, options, message):
    audio("l.csv", "a.wav")
    with pytest.raises(click.UsageError, match=message):
        arguments(*sources, **options).check()
