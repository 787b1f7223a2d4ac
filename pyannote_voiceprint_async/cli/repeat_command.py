"""The command line of the current command, for messages that suggest to run it again."""

from collections.abc import Sequence
from shlex import quote
from typing import Any

import click
from click.core import ParameterSource

from pyannote_voiceprint_async.enrollment.manifest.source_kinds import is_url
from pyannote_voiceprint_async.redaction import redact_url
from pyannote_voiceprint_async.secret import Secret
from pyannote_voiceprint_async.settings import RateLimit

from .options import SHARED_VARIABLE

__all__ = ["repeat_command"]

# Options that apply to one run only.
_ONE_TIME_OPTIONS = {
    "dry_run",
    "force",
    "new_key",
    "on_unknown",
    "replace",
    "retry_expired",
    "retry_failed",
    "verbose",
    "yes",
}
_MOST_SOURCES = 5


def repeat_command(context: click.Context, *more: str) -> str:
    """Return the command line of a command again. URLs are redacted.

    Args:
        context: the click context of the command.
        more: arguments to append.
    """
    arguments = ["pyannote-voiceprint", str(context.info_name)]
    for parameter in context.command.params:
        name = str(parameter.name)
        if name in _ONE_TIME_OPTIONS or context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        arguments += _arguments_of(parameter, context.params[name])
    return " ".join([*arguments, *more])


def _arguments_of(parameter: click.Parameter, value: Any) -> Sequence[str]:
    if isinstance(parameter, click.Argument):
        # A pattern that the shell expanded may have become thousands of files.
        shown = value if len(value) <= _MOST_SOURCES else value[: _MOST_SOURCES - 1]
        return [*map(_quoted, shown), *(["…"] if shown is not value else [])]
    option = parameter.opts[-1]
    return [option] if isinstance(parameter, click.Option) and parameter.is_flag else [option, _quoted(value)]


def _quoted(value: object) -> str:
    if isinstance(value, Secret):
        return f'"${SHARED_VARIABLE}"'  # the only option that may be secret
    if isinstance(value, RateLimit):
        return f"{value.limit}/{value.per:g}"
    text = str(value)
    return quote(redact_url(text) if is_url(text) else text)
