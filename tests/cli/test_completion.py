"""Completion in real shells, with the command lines that the documentation names."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "command-line.md").read_text("utf-8")
_BASH = r"""
complete_line() {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _pyannote_voiceprint_completion "$1"; echo "${COMPREPLY[*]}"
}
compopt() { echo "files"; }
complete -p pyannote-voiceprint
complete_line pyannote-voiceprint led
complete_line pyannote-voiceprint ledger st
complete_line pyannote-voiceprint enroll --on-unknown re
complete_line pyannote-voiceprint help insp
complete_line pyannote-voiceprint enroll exa
"""
# The functions of the completion system that show the completions print them instead.
_ZSH = r"""
_describe() { local -a shown; shown=("${(@P)3}"); print -r -- "${(j: :)shown%%:*}"; }
compadd() { print -r -- "${(j: :)${(P)@[-1]}}"; }
_path_files() { print files; }
complete_line() { words=("$@"); CURRENT=$#; _pyannote_voiceprint_completion; }
print "complete ${_comps[pyannote-voiceprint]} pyannote-voiceprint"
complete_line pyannote-voiceprint led
complete_line pyannote-voiceprint ledger st
complete_line pyannote-voiceprint enroll --on-unknown re
complete_line pyannote-voiceprint help insp
complete_line pyannote-voiceprint enroll exa
"""


def set_up(shell: str) -> str:
    """Return the documented line that sets up the completion of a shell."""
    [line] = re.findall(rf"^eval .*_COMPLETE={shell}_source.*$", _PAGE, re.MULTILINE)
    return line


@pytest.mark.parametrize(
    ("shell", "script"),
    [
        (["bash", "--norc"], f"{set_up('bash')}\n{_BASH}"),
        (["zsh", "-f"], f"autoload -U compinit; compinit -u -d $HOME/dump\n{set_up('zsh')}\n{_ZSH}"),
    ],
    ids=["bash", "zsh"],
)
def test_commands_options_values_and_files_are_completed(tmp_path, shell, script):
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [*shell, "-c", script],
        env={**os.environ, "PATH": path, "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    registered, *completed = done.stdout.split("\n")
    assert re.fullmatch(r"complete .*_pyannote_voiceprint_completion pyannote-voiceprint", registered)
    assert [line for line in completed if line] == ["ledger", "status", "resubmit", "inspect", "files"]
