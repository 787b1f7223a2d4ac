"""Class names: unique in the package, and different from those of the standard library in the same file."""

import ast
import importlib
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pyannote_voiceprint_async

PACKAGE = Path(pyannote_voiceprint_async.__file__).parent


@cache
def syntax_trees() -> Mapping[str, ast.Module]:
    """Return the syntax tree of every file of the package."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {str(path.relative_to(PACKAGE)): ast.parse(path.read_text("utf-8")) for path in paths}


MODULES = [
    importlib.import_module(f"pyannote_voiceprint_async{name}")
    for name in ("", ".audio", ".enrollment", ".enrollment.events", ".sandbox")
]


def renamed_names() -> Iterator[tuple[list[str], list[str]]]:
    """Yield the old and the new names of each row of the table in CHANGELOG.md; not the fields of JSON."""
    text = (PACKAGE.parent / "CHANGELOG.md").read_text("utf-8")
    (table,) = re.findall(r"^\| 0\.1\.0 \|.*\n.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    for row in table.splitlines():
        old, new = (re.findall(r"`((?:audio\.|sandbox\.|[A-Z])[\w.]+)", cell) for cell in row.strip("| ").split(" | "))
        yield old, new


def is_public(name: str) -> bool:
    """Return whether a name leads to something: from the package, or from one of its public modules."""
    return any(resolves(module, name.split(".")) for module in MODULES)


def resolves(found: object, path: list[str]) -> bool:
    """Return whether a path of attributes exists."""
    if not path:
        return not inspect.ismodule(found)
    return hasattr(found, path[0]) and resolves(getattr(found, path[0]), path[1:])


def class_names(tree: ast.Module) -> Iterator[str]:
    """Yield the name of every class, private and nested ones included."""
    return (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def standard_modules(tree: ast.Module) -> Iterator[str]:
    """Yield the modules of the standard library that a file imports, or imports names from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] in sys.stdlib_module_names)


def public_classes(module: str) -> set[str]:
    """Return the names of the public classes of a module, or none if this platform lacks the module."""
    try:
        members = inspect.getmembers(importlib.import_module(module), inspect.isclass)
    except ModuleNotFoundError:
        return set()
    return {name for name, _ in members if not name.startswith("_")}


def test_no_class_name_occurs_twice():
    """A reader who searches for a name finds one class."""
    files = defaultdict(list)
    for file, tree in syntax_trees().items():
        for name in class_names(tree):
            files[name].append(file)
    assert {name: places for name, places in files.items() if len(places) > 1} == {}


def test_no_class_has_the_name_of_a_standard_class_beside_it():
    """Neither a built-in class nor a class of a standard module that the same file imports has the same name."""
    clashes = {}
    for file, tree in syntax_trees().items():
        standard = public_classes("builtins").union(*map(public_classes, standard_modules(tree)))
        if names := standard.intersection(class_names(tree)):
            clashes[file] = names
    assert clashes == {}


def test_the_changelog_lists_old_names_that_are_gone_and_new_names_that_exist():
    rows = list(renamed_names())
    assert sum(bool(old) for old, _ in rows) > 20
    assert [name for old, new in rows for name in {*old} - {*new} if is_public(name)] == []
    assert [name for _, new in rows for name in new if not is_public(name)] == []
