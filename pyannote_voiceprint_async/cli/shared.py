"""`pyannote-voiceprint shared`: inspect the state that processes share, and resolve submission keys."""

import sys
from functools import partial
from pathlib import Path

import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.redaction import printable
from pyannote_voiceprint_async.secret import Secret
from pyannote_voiceprint_async.shared.connection import open_store, to_public_error
from pyannote_voiceprint_async.shared.state import SharedState
from pyannote_voiceprint_async.shared.status import read_status
from pyannote_voiceprint_async.shared.store import StoreUnavailableError

from .exit_codes import ExitCode, WrongUsage
from .option_groups import Group
from .options import SHARED_VARIABLE, CommonOptions, common_options, hide_dsn, json_option, yes_option
from .output import Output
from .questions import confirm_change
from .run_command import run, run_without_client
from .shared_text import scope_lines, scope_record

__all__ = ["shared"]


@click.group(cls=Group, examples=["shared status voiceprint-shared.db"])
def shared() -> None:
    """Inspect the state that several processes share.

    Commands with `--shared`, and programs with `AsyncVoiceprintClient(shared=…)`, share a rate limit and submission
    keys.
    """


@shared.command(
    examples=["shared status voiceprint-shared.db", "shared status postgresql://db.example.com/voiceprints"]
)
@click.argument("address", metavar="FILE|DSN", envvar=SHARED_VARIABLE, callback=hide_dsn)
@json_option
def status(address: str, *, as_json: bool) -> None:
    """Show processes, permits in use, waiting requests, pauses and submission keys.

    Print the state of each team and API: as text on a terminal, else as a line of JSON. FILE|DSN is the value of
    `--shared`; without it, that of PYANNOTE_VOICEPRINT_SHARED is used. Nothing is sent to the API.
    """
    state = SharedState(address)
    if not isinstance(state.store, Secret) and not Path(state.store).is_file():
        raise WrongUsage(
            f"There is no shared state file {printable(state.store)}. The first client with --shared creates it."
        )
    run_without_client(CommonOptions(), partial(_status, state=state), as_json=as_json)


@shared.command(
    examples=[
        "shared resolve ada-2027 --job-id 2f0f0d0e-… --shared voiceprint-shared.db",
        "shared resolve ada-2027 --free --shared voiceprint-shared.db",
    ]
)
@click.argument("key", metavar="KEY")
@click.option("--job-id", metavar="ID", help="Record the job of the key: calls with the key return it from now on.")
@click.option("--free", is_flag=True, help="Free the key. The next submission with it is billed, even if a job exists.")
@yes_option("Free the key without a question, as without a terminal.")
@common_options
def resolve(common: CommonOptions, key: str, *, job_id: str | None, free: bool, yes: bool) -> None:
    """Resolve a submission key whose outcome is unknown.

    The submission with the key may have been accepted: look for its job in the list that `pyannote-voiceprint jobs`
    prints. Then record the job with `--job-id`. If there is no such job, free the key with `--free`.
    """
    if (job_id is None) != free:
        raise click.UsageError("Choose one of --job-id ID and --free.")
    if common.shared is None or common.sandbox:
        raise click.UsageError(f"Name the shared state: --shared FILE|DSN, or {SHARED_VARIABLE} in the environment.")
    if free:
        confirm_change(f"Free the key {printable(key)}? The next submission with it is billed.", yes=yes)
    sys.exit(run(common, partial(_resolve, key=key, job_id=job_id)))


async def _status(output: Output, *, state: SharedState) -> None:
    store = open_store(state)
    try:
        scopes = await read_status(store)
    except StoreUnavailableError as error:
        raise to_public_error(error) from None
    finally:
        await store.aclose()
    for scope in scopes:
        await output.write_record(scope_record(scope), partial(scope_lines, scope))
    if output.shows_text and not scopes:
        await output.write_status("No process has shared anything yet.")


async def _resolve(client: AsyncVoiceprintClient, output: Output, *, key: str, job_id: str | None) -> ExitCode:
    await client.resolve_key(key, job_id=job_id)
    output.print_status("Recorded: the key has this job." if job_id else "The key is free.")
    return ExitCode.SUCCESS
