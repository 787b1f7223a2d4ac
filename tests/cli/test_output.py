import asyncio
import io
import json
import os
import select
import stat
from contextlib import ExitStack, asynccontextmanager

import pytest

from pyannote_voiceprint_async.cli.exit_codes import Failure, WrongUsage
from pyannote_voiceprint_async.cli.output import Output, json_line, open_output
from pyannote_voiceprint_async.cli.progress import PlainProgress
from pyannote_voiceprint_async.enrollment.ledger.output_file import RESULT_FIELDS, OutFile

_PAID = json_line(dict.fromkeys(RESULT_FIELDS))


@pytest.mark.parametrize(
    "text",
    ["María", "王芳", "a\nb", "\x1b[2J", "\x9b2J", "\u2028", "\u202e", "\udcff", "\U0001f600", "\U000e0001", '"\\'],
)
def test_a_record_is_one_printable_line_and_parses_unchanged(text):
    line = json_line({"label": text})
    assert line.isprintable()
    assert json.loads(line) == {"label": text}


def test_names_in_any_script_are_not_escaped():
    assert json_line({"label": "María 王芳"}) == '{"label": "María 王芳"}'


@asynccontextmanager
async def opened(path):
    """Open an output file before the event loop runs."""
    with ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, open_output(OutFile(path, "results")))


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
    path.write_text(f"{_PAID}\n")
    path.chmod(0o644)
    async with opened(path) as output:
        await output.write_result("new")
    assert (path.read_text(), mode(path)) == (f"{_PAID}\nnew\n", 0o600)


async def test_an_incomplete_line_of_a_killed_run_does_not_join_the_next_result(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text(f'{_PAID}\n{{"lab')
    async with opened(path) as output:
        await output.write_result('{"new": 1}')
    assert path.read_text() == f'{_PAID}\n{{"lab\n{{"new": 1}}\n'


def test_a_file_that_contains_something_else_is_not_changed(tmp_path):
    """A recording is passed as --out by mistake."""
    path = tmp_path / "voice.wav"
    path.write_bytes(b"RIFF....WAVE")
    path.chmod(0o644)
    with pytest.raises(WrongUsage, match="something else than results"), open_output(OutFile(path, "results")):
        pass
    assert (path.read_bytes(), mode(path)) == (b"RIFF....WAVE", 0o644)


@pytest.mark.parametrize("where", ["", "gone/out.jsonl"])
def test_a_file_that_cannot_be_opened_is_wrong_usage(tmp_path, where):
    with (
        pytest.raises(WrongUsage, match=r"^Nothing was sent: .* Give another file\.$"),
        open_output(OutFile(tmp_path / where, "results")),
    ):
        pass


async def test_a_blocked_reader_does_not_block_the_event_loop():
    """A full pipe must not block the loop, because requests in flight would time out."""
    reading, writing = os.pipe()
    line = "x" * 100_000
    with os.fdopen(writing, "wb") as results, os.fdopen(reading, "rb") as reader:
        output = Output(results, PlainProgress(lambda _: None))
        write = asyncio.create_task(output.write_result(line))
        # The thread hangs in the full pipe from its first byte on; the loop runs.
        await asyncio.to_thread(select.select, [reader], [], [], 30)
        assert not write.done()
        assert await asyncio.to_thread(reader.read, len(line) + 1) == f"{line}\n".encode()
        await write
        output.close()


async def test_lines_are_written_in_the_order_of_the_calls():
    results = io.BytesIO()
    output = Output(results, PlainProgress(lambda _: None))
    await asyncio.gather(*(output.write_result(str(number)) for number in range(100)))
    output.close()
    assert results.getvalue().split() == [str(number).encode() for number in range(100)]


async def test_results_that_cannot_be_written_end_the_command_with_a_message(tmp_path):
    path = tmp_path / "out.jsonl"
    path.touch()
    with path.open("rb") as closed_for_writing:
        output = Output(closed_for_writing, PlainProgress(lambda _: None))
        with pytest.raises(Failure, match=r"^The results cannot be written"):
            await output.write_result("x")
        output.close()


def test_control_characters_of_a_status_line_are_escaped(capsys):
    output = Output(io.BytesIO(), PlainProgress(lambda _: None))
    output.print_status("voice\x1b[2J: failed")
    output.close()
    assert capsys.readouterr().err == "voice\\u001b[2J: failed\n"
