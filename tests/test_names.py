"""Class names: unique in the package, and different from those of the standard library in the same file."""

import ast
import importlib
import inspect
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
