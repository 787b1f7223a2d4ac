"""Find phrases that STYLE bans, in docstrings, comments, messages and documents. Exit 1 if there are any.

Usage: python .ci/check_prose.py
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Each pattern with the reason that is printed beside it.
BANNED_PHRASES = (
    (r"\b(?:is|are|was|were) told\b", "write: is reported, is logged"),
    (r"\b(?:is|are|was|were) said\b", "write: is documented, is stated"),
    (r"\b(?:is|are|was|were) asked for\b", "write: is requested"),
    (r"\bwho(?:so)?ever\b", "name the caller, the reader or the program"),
    (r"\bnobody knows\b", "write: the outcome is unknown"),
    (r"\bsay of\b", "name the subject, then the verb"),
    (r"\ball of it\b", "name the noun"),
    (r"\bhas its say\b", "write: decides"),
    (r"\bon the wire\b", "write: in flight"),
    (r"\bin vain\b", "write: without a result"),
)

# A docstring begins with a standard verb (PEP 257): Return, Raise, Parse, Wait …
BANNED_FIRST_WORDS = {"Give", "Gives", "Say", "Says", "Tell", "Tells", "Take", "Takes", "Let", "Lets"}

_PHRASES = [(re.compile(pattern, re.IGNORECASE), reason) for pattern, reason in BANNED_PHRASES]
_DEFINITIONS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# The output of programs in documents, which is generated.
_OUTPUT_BLOCK = re.compile(r"^```text$.*?^```$", re.DOTALL | re.MULTILINE)
# This file quotes what it bans.
_SKIPPED = {".ci/check_prose.py"}


class Finding(NamedTuple):
    """One place that must be rewritten."""

    path: str
    line: int
    text: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text!r}: {self.reason}"


def find_phrases(path: str, line: int, text: str) -> Iterator[Finding]:
    """Yield each banned phrase of a text that begins on `line`."""
    for pattern, reason in _PHRASES:
        for match in pattern.finditer(re.sub(r"\s*\n\s*#?\s*", lambda found: " " * len(found.group()), text)):
            yield Finding(path, line + text[: match.start()].count("\n"), match.group(), reason)


def find_in_python(path: str, source: str) -> Iterator[Finding]:
    """Yield the findings of one Python file: its comments, strings and docstrings."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in {tokenize.COMMENT, tokenize.STRING}:
            yield from find_phrases(path, token.start[0], token.string)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _DEFINITIONS) and (docstring := ast.get_docstring(node)):
            first = docstring.split(maxsplit=1)[0]
            if first in BANNED_FIRST_WORDS:
                line = getattr(node, "lineno", 1)
                yield Finding(path, line, first, "begin with a standard verb: Return, Raise, Parse, Log, Wait …")


def _without_output(text: str) -> str:
    """Blank the blocks of output, and keep the line numbers."""
    return _OUTPUT_BLOCK.sub(lambda block: "\n" * block.group().count("\n"), text)


def main() -> int:
    """Check every tracked Python file and Markdown document."""
    listed = subprocess.run(["git", "ls-files", "*.py", "*.md", "*.toml"], capture_output=True, text=True, check=True)
    findings: list[Finding] = []
    for path in sorted(set(listed.stdout.split()) - _SKIPPED):
        source = Path(path).read_text(encoding="utf-8")
        check = find_in_python(path, source) if path.endswith(".py") else find_phrases(path, 1, _without_output(source))
        findings.extend(check)
    for finding in findings:
        print(finding)
    print(f"{len(findings)} places to rewrite." if findings else "Prose: no banned phrases.")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
