"""The settings of Sphinx. `nox -s docs` builds the pages."""

import inspect
from importlib import import_module
from typing import Any

from click import Context
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import GoogleDocstring
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from pyannote_voiceprint_async.version import __version__

logger = logging.getLogger(__name__)

project = "pyannote-voiceprint-async"
author = "The pyannote-voiceprint-async authors"
copyright = author
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["pictures.css"]
html_show_sourcelink = False
smartquotes = False  # `--out` has two hyphens

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # an included docstring may begin with a table

# A text in single backticks, in a docstring, is code.
default_role = "code"
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True

# References leave the package in annotations only, and no inventory of another project is downloaded.
# Classes that public signatures name, and that users never make themselves, have no page; neither have protocols.
_INTERNAL = (
    "R|BatchRun|Timer|EnrollmentRun|SourceRows|FaultyRequest|SandboxResponse|Operation|StoredMedia|IdentifyFields|"
    "JobScript|BinaryFile|CandidateJob"
)
nitpick_ignore_regex = [
    (r"py:.*", r"(?!pyannote_voiceprint_async).*"),
    (r"py:.*", rf"pyannote_voiceprint_async\.(\w+\.)+({_INTERNAL})"),
]


class ModuleDocstring(SphinxDirective):
    """The docstring of a module, which is Markdown: its tables are part of a page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the parsed docstring."""
        text = inspect.getdoc(import_module(self.arguments[0])) or ""
        return self.parse_text_to_nodes(text.partition("\n")[2])


class FaultTable(SphinxDirective):
    """A table of the faults of the sandbox, by the name of their mapping."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        faults = getattr(import_module("pyannote_voiceprint_async.sandbox"), self.arguments[0]).values()
        rows = [f"| `{fault.name}` | {fault.description} |" for fault in faults]
        return self.parse_text_to_nodes("\n".join(["| fault | effect |", "| --- | --- |", *rows]))


def require_public_names(_: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each public name that no page describes."""
    described = {name.rpartition(".")[2] for name in env.domains.python_domain.objects}
    for suffix in ("", ".audio", ".enrollment", ".events", ".identification", ".otel", ".sandbox"):
        module = import_module(f"pyannote_voiceprint_async{suffix}")
        for name in sorted({*module.__all__} - described - {"__version__"}):
            logger.warning("%s.%s has no place in docs/reference/", module.__name__, name)


def drop_module_docstring(_: Sphinx, what: str, __: str, ___: Any, ____: Any, lines: list[str]) -> None:
    """Remove the Markdown docstring of a module from its autodoc. A page includes it by `module-docstring`."""
    if what == "module":
        lines.clear()


def convert_sections(_: Sphinx, what: str, name: str, ____: Any, _____: Any, lines: list[str]) -> None:
    """Convert `Args:` and other sections. In an attribute, napoleon would read the text before a colon as its type."""
    if what not in {"attribute", "property"}:
        lines[:] = GoogleDocstring(lines, what=what, name=name).lines()


def convert_tables(_: Sphinx, __: str, ___: str, ____: Any, _____: Any, lines: list[str]) -> None:
    """Rewrite the Markdown tables of a docstring, because autodoc parses reStructuredText."""
    converted: list[str] = []
    for line in lines:
        indent, bar, rest = line.partition("|")
        if bar and not indent.strip():
            cells = [cell.strip() for cell in rest.rstrip(" |").split("|")]
            if all(set(cell) == {"-"} for cell in cells):
                continue
            if not converted or not converted[-1].lstrip().startswith(("* -", "-")):
                converted += [f"{indent}.. list-table::", f"{indent}   :header-rows: 1", ""]
            converted += [
                f"{indent}   {mark} - {cell}" for mark, cell in zip("*" + " " * len(cells), cells, strict=False)
            ]
        else:
            converted.append(line)
    lines[:] = converted


def add_examples(_: Sphinx, context: Context, lines: list[str]) -> None:
    """Append the examples of a command, which its `--help` shows too."""
    examples = getattr(context.command, "examples", ())
    if examples:
        lines += [
            "Examples:",
            "",
            ".. code-block:: text",
            "",
            *(f"   pyannote-voiceprint {line}" for line in examples),
            "",
        ]


def setup(app: Sphinx) -> None:
    """Add the directive and the hooks."""
    app.add_directive("module-docstring", ModuleDocstring)
    app.connect("autodoc-process-docstring", drop_module_docstring)
    app.connect("autodoc-process-docstring", convert_sections)
    app.connect("autodoc-process-docstring", convert_tables)
    app.add_directive("fault-table", FaultTable)
    app.connect("env-check-consistency", require_public_names)
    app.connect("sphinx-click-process-epilog", add_examples)
