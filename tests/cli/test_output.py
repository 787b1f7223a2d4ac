"""JSON lines, and the order and encoding of results and status lines."""

import asyncio
import io
import json
import os
import select

import pytest

from pyannote_voiceprint_async.cli.exit_codes import Failure
from pyannote_voiceprint_async.cli.output import Output, json_line
from pyannote_voiceprint_async.cli.progress import PlainProgress


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
