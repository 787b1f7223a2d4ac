"""The command that was typed, to be typed again with something more."""

from collections.abc import Sequence
from shlex import quote
from typing import Any

import click
from click.core import ParameterSource

from pyannote_voiceprint_async.enrollment.manifest.source_kinds import is_url
from pyannote_voiceprint_async.redaction import redact_url
from pyannote_voiceprint_async.settings import RateLimit

__all__ = ["retyped"]

# What was meant for one run only.
_FOR_ONCE = {"dry_run", "force", "new_key", "on_unknown", "replace", "retry_expired", "retry_failed", "verbose"}
_MOST_SOURCES = 5


def retyped(context: click.Context, *more: str) -> str:
    """Give the command line of a command once more. What is secret in a URL is left out.

    Args:
        context: that of the command.
        more: further words at its end.
    """
    words = ["pyannote-voiceprint", str(context.info_name)]
    for parameter in context.command.params:
        name = str(parameter.name)
        if name in _FOR_ONCE or context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        words += _words(parameter, context.params[name])
    return " ".join([*words, *more])


def _words(parameter: click.Parameter, value: Any) -> Sequence[str]:
    if isinstance(parameter, click.Argument):
        # A pattern that the shell expanded may be thousands of files.
        shown = value if len(value) <= _MOST_SOURCES else value[: _MOST_SOURCES - 1]
        return [*map(_word, shown), *(["…"] if shown is not value else [])]
    option = parameter.opts[-1]
    return [option] if isinstance(parameter, click.Option) and parameter.is_flag else [option, _word(value)]


def _word(value: object) -> str:
    if isinstance(value, RateLimit):
        return f"{value.limit}/{value.per:g}"
    text = str(value)
    return quote(redact_url(text) if is_url(text) else text)
