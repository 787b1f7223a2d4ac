"""The file of `--out`: its mode, and what becomes of an existing file."""

import asyncio
import stat
from contextlib import ExitStack, asynccontextmanager

import pytest

from pyannote_voiceprint_async.cli.exit_codes import WrongUsage
from pyannote_voiceprint_async.cli.output import json_line, open_output
from pyannote_voiceprint_async.enrollment.ledger.earlier_output import RESULT_FIELDS
from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile

_BILLED = json_line(dict.fromkeys(RESULT_FIELDS))


@asynccontextmanager
async def opened(path):
    """Open an output file before the event loop runs."""
    with ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, open_output(OutputFile(path, "results")))


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_file_of_results_is_private_and_written_line_by_line(tmp_path):
    path = tmp_path / "out.jsonl"
    async with opened(path) as output:
        assert mode(path) == 0o600
        await output.write_result("one")
        assert path.read_text() == "one\n"
        await output.write_result("two")
    assert path.read_text() == "one\ntwo\n"


async def test_a_file_that_exists_is_kept_and_becomes_private(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text(f"{_BILLED}\n")
    path.chmod(0o644)
    async with opened(path) as output:
        await output.write_result("new")
    assert (path.read_text(), mode(path)) == (f"{_BILLED}\nnew\n", 0o600)


async def test_an_incomplete_line_of_a_killed_run_does_not_join_the_next_result(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text(f'{_BILLED}\n{{"lab')
    async with opened(path) as output:
        await output.write_result('{"new": 1}')
    assert path.read_text() == f'{_BILLED}\n{{"lab\n{{"new": 1}}\n'


def test_a_file_that_contains_something_else_is_not_changed(tmp_path):
    """Another file is passed as --out by mistake."""
    path = tmp_path / "voice.json"
    path.write_bytes(b"RIFF....WAVE")
    path.chmod(0o644)
    with pytest.raises(WrongUsage, match="something other than results"), open_output(OutputFile(path, "results")):
        pass
    assert (path.read_bytes(), mode(path)) == (b"RIFF....WAVE", 0o644)


@pytest.mark.parametrize("where", ["", "gone/out.jsonl"])
def test_a_file_that_cannot_be_opened_is_wrong_usage(tmp_path, where):
    with (
        pytest.raises(WrongUsage, match=r"^Nothing was sent: .* Choose another file\.$"),
        open_output(OutputFile(tmp_path / where, "results")),
    ):
        pass
