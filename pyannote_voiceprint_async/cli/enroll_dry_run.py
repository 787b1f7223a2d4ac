"""`pyannote-voiceprint enroll --dry-run`: print the plan of a run, and exit as that run would."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import attrs

from pyannote_voiceprint_async.enrollment.run.dry_run import DryRun

from .clients import create_dry_run_client
from .enroll_arguments import EnrollArguments, files_found, list_notes
from .exit_codes import ExitCode
from .output import Output
from .plan_text import plan_lines
from .progress import ProgressDisplay
from .report_text import skipped_row, warning_lines
from .run_columns import run_view
from .run_command import run_without_client

__all__ = ["dry_run", "show_reading"]

_REFRESH_INTERVAL = 1.0


def dry_run(arguments: EnrollArguments) -> ExitCode:
    """Print what a run of the same arguments does, and return its exit code."""
    client, has_key = create_dry_run_client(arguments.common)
    options = arguments.options if has_key else attrs.evolve(arguments.options, new_key=True)
    rows = arguments.rows()

    async def main(output: Output) -> ExitCode:
        dry = DryRun(client, rows, arguments.ledger, options)
        refresher = asyncio.create_task(show_reading(dry, output.progress, partial(files_found, rows)))
        try:
            plan = await dry.run()
        finally:
            refresher.cancel()
            output.progress.close()
        for problem in plan.problems:
            output.print_status(skipped_row(problem))
        for warning in plan.warnings:
            for line in warning_lines(warning.label, warning.message, list_notes(rows)):
                output.print_status(line)
        for line in plan_lines(plan, is_sandbox=arguments.common.sandbox, is_dry_run=True):
            await output.write_result(line)
        await asyncio.to_thread(arguments.write_report, plan.to_dict())
        return ExitCode.SUCCESS if plan.is_complete else ExitCode.SOME_FAILED

    return run_without_client(arguments.common, main)


async def show_reading(
    dry: DryRun,
    display: ProgressDisplay,
    found: Callable[[], int],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Show how far a dry run has read its list, until this call is cancelled."""
    while True:
        display.show(run_view(dry.progress, found()))
        await sleep(_REFRESH_INTERVAL)
