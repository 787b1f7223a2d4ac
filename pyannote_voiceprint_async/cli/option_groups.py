"""The help of a command: its options in groups, and an example."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import click

__all__ = ["OPTION_GROUPS", "Command", "CommandList", "Group"]

OPTION_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Input": (
        "label_column", "source_column", "skip_invalid", "allow_shared_audio", "preflight", "trim", "model", "status",
        "audio", "labels", "file_id", "speakers_file", "expected",
    ),
    "Matching": ("threshold", "exclusive_diarization", "exclusive_matching", "num_speakers"),
    "Money": ("dry_run", "max_jobs", "price", "yes", "replace", "key", "job_id", "free"),
    "Retry": ("retry_failed", "retry_expired", "on_unknown"),
    "Output": ("ledger_option", "out", "form", "report", "force", "as_json", "plot", "log_format", "watch", "verbose"),
    "Connection": (
        "sandbox",
        "base_url",
        "max_concurrency",
        "rate_limit",
        "shared",
        "wait",
        "timeout",
        "webhook",
        "new_key",
    ),
}  # fmt: skip
"""The groups in their order, with the names of their parameters. Other options are in the group `Other`."""

_Record: TypeAlias = tuple[str, str]
"""The name of an option, with its value, and its help text."""

_OTHER = "Other"
_UNGROUPED = "Options"
# Longer names of options have a line of their own.
_WIDEST_NAME = 24
_LONGEST_SENTENCE = 200


class _WithExamples(click.Command):
    """A command whose help ends with examples.

    Args:
        examples: command lines without the name of the program. They are not wrapped, so that they can be copied.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **values: Any) -> None:
        super().__init__(*args, **values)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Example" if len(self.examples) == 1 else "Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}pyannote-voiceprint {example}\n")


class Command(_WithExamples):
    """A command whose help lists the options in groups.

    Args:
        groups: the groups of its options; without any, all are in one list.
    """

    def __init__(self, *args: Any, groups: Mapping[str, tuple[str, ...]] = OPTION_GROUPS, **values: Any) -> None:
        super().__init__(*args, **values)
        self._groups = groups

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of each group, with all texts in one column."""
        records = {
            str(option.name): record
            for option in self.get_params(ctx)
            if isinstance(option, click.Option) and (record := option.get_help_record(ctx)) is not None
        }
        width = max(len(name) for name, _ in records.values() if len(name) <= _WIDEST_NAME)
        for title, group in self._grouped(records):
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in group], col_max=width)

    def _grouped(self, records: dict[str, _Record]) -> Iterator[tuple[str, list[_Record]]]:
        rest = dict(records)
        for title, names in self._groups.items():
            if group := [rest.pop(name) for name in records if name in names]:
                yield title, group
        yield (_OTHER if len(rest) < len(records) else _UNGROUPED), list(rest.values())


class CommandList(click.Group):
    """A command whose help lists its commands, each with its whole first sentence: click cuts it off."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the section of the commands."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(_LONGEST_SENTENCE)) for name, command in commands if command]
            )


class Group(_WithExamples, CommandList):
    """A command with commands of its own, which have options in groups."""

    command_class = Command
