"""The house rules a machine can hold: sizes, names, purity, and that nothing hides from the import contracts."""

from __future__ import annotations

import ast
import io
import re
import socket
import subprocess
import tempfile
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

FUNCTION_LINES_MAX = 60
MODULE_LINES_MAX = 400
PARAMETERS_MAX = 6
VAGUE_FILES = {
    *("base", "common", "misc", "types", "handler", "handlers", "helper", "helpers"),
    *("manager", "managers", "util", "utils"),
}
VAGUE_WORDS = {"Manager", "Handler", "Helper", "Util", "Utils", "Service", "Processor", "Base", "Impl", "Mixin"}
STAND_INS = {"mock", "mocker", "magicmock", "asyncmock", "monkeypatch"}


@dataclass(frozen=True)
class Module:
    """One Python file: its place in the project, its text and its syntax tree."""

    name: str
    text: str
    tree: ast.Module

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the tree."""
        return tuple(ast.walk(self.tree))

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function and method, however deep."""
        return (node for node in self.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


Finding = tuple[int, str]
Rule = Callable[[Module], Iterator[Finding]]


def starts_with_a_docstring(module: Module) -> Iterator[Finding]:
    """The first line of a file says what it knows."""
    if ast.get_docstring(module.tree) is None or module.tree.body[0].lineno != 1:
        yield 1, "does not start with a docstring"


def is_short(module: Module) -> Iterator[Finding]:
    """Modules and functions can be read at one sitting."""
    lines = module.text.count("\n")
    if lines > MODULE_LINES_MAX:
        yield lines, f"has {lines} lines; {MODULE_LINES_MAX} are the most"
    for function in module.functions():
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield function.lineno, f"{function.name} has {lines} lines; {FUNCTION_LINES_MAX} are the most"


def takes_few_parameters(module: Module) -> Iterator[Finding]:
    """Whoever needs more has found a value that wants a name; `self` does not count."""
    for function in module.functions():
        given = function.args
        names = [arg.arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg) if arg]
        count = len([name for name in names if name not in ("self", "cls")])
        if count > PARAMETERS_MAX:
            yield function.lineno, f"{function.name} has {count} parameters; {PARAMETERS_MAX} are the most"


def imports_on_top(module: Module) -> Iterator[Finding]:
    """An import in a function hides a dependency; only where people come in may something heavy load late."""
    if module.name.startswith("src/standpipe/entrypoints/") or module.name.endswith("/__init__.py"):
        return
    for function in module.functions():
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield node.lineno, f"{function.name} imports"
    for name, line in _names(module):
        if name in ("import_module", "__import__"):
            yield line, f"{name} hides a dependency"


def has_no_type_checking_block(module: Module) -> Iterator[Finding]:
    """TYPE_CHECKING hides a cycle."""
    for name, line in _names(module):
        if name == "TYPE_CHECKING":
            yield line, "TYPE_CHECKING"


def is_pure(module: Module) -> Iterator[Finding]:
    """Rules and dialects neither wait nor keep anything; what they may import is a contract in pyproject.toml."""
    if not module.name.startswith(("src/standpipe/core/", "src/standpipe/wire/")):
        return
    for node in module.nodes:
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith | ast.Global | ast.Nonlocal):
            yield node.lineno, type(node).__name__


def has_telling_names(module: Module) -> Iterator[Finding]:
    """A vague name is a place for the next thing that has none."""
    if Path(module.name).stem in VAGUE_FILES:
        yield 1, "the file's name says nothing"
    for node in module.nodes:
        if isinstance(node, ast.ClassDef) and VAGUE_WORDS & set(re.findall(r"[A-Z][a-z0-9]*", node.name)):
            yield node.lineno, f"the name {node.name} says nothing"


def ignores_with_a_code(module: Module) -> Iterator[Finding]:
    """An ignored type error says which one."""
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type == tokenize.COMMENT and re.search(r"#\s*type:\s*ignore(?!\[)", token.string):
            yield token.start[0], "type: ignore without a code"


def matches_end(module: Module) -> Iterator[Finding]:
    """A match says what happens otherwise: a default, or assert_never, which the type checker then holds."""
    for node in module.nodes:
        if isinstance(node, ast.Match):
            last = node.cases[-1]
            if last.guard or not (isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None):
                yield node.lineno, "a match without a last `case _`"


def uses_the_real_thing(module: Module) -> Iterator[Finding]:
    """Nothing of our own is mocked or patched: a fake is an implementation that passes the conformance suite."""
    for name, line in _names(module):
        if name.lower() in STAND_INS:
            yield line, name


def _names(module: Module) -> Iterator[tuple[str, int]]:
    """Every identifier of a file with its line: names, attributes, parameters, and each part of what is imported."""
    for node in module.nodes:
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name, node.lineno
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                whole = [getattr(node, "module", None) or "", *(alias.name for alias in aliases)]
                yield from ((part, node.lineno) for name in whole for part in name.split("."))
            case _:
                pass


CORE, ENGINE, TEST = "src/standpipe/core/x.py", "src/standpipe/engine/x.py", "tests/test_x.py"

BREAKS: list[tuple[Rule, str, str]] = [
    (starts_with_a_docstring, CORE, "import ast\n"),
    (starts_with_a_docstring, CORE, '\n"""Too late."""\n'),
    (is_short, CORE, "def f():\n" + "    pass\n" * FUNCTION_LINES_MAX),
    (is_short, CORE, "pass\n" * (MODULE_LINES_MAX + 1)),
    (takes_few_parameters, TEST, "def f(self, a, /, b, *c, d, e, f, **g): ...\n"),
    (imports_on_top, TEST, "def f():\n    import json\n"),
    (imports_on_top, ENGINE, "json = importlib.import_module('json')\n"),
    (has_no_type_checking_block, ENGINE, "from typing import TYPE_CHECKING\n"),
    (has_no_type_checking_block, ENGINE, "if typing.TYPE_CHECKING:\n    pass\n"),
    (is_pure, CORE, "async def f(): ...\n"),
    (is_pure, CORE, "def f():\n    global g\n"),
    (is_pure, "src/standpipe/wire/x.py", "def f():\n    nonlocal g\n"),
    (has_telling_names, ENGINE, "class StoreManager: ...\n"),
    (has_telling_names, "tests/engine/utils.py", ""),
    (ignores_with_a_code, ENGINE, "a = 1  # type: ignore\n"),
    (matches_end, ENGINE, "match a:\n    case 1:\n        pass\n"),
    (matches_end, ENGINE, "match a:\n    case _ if b:\n        pass\n"),
    (uses_the_real_thing, TEST, "def test_x(monkeypatch): ...\n"),
    (uses_the_real_thing, TEST, "from unittest.mock import patch\n"),
    (uses_the_real_thing, TEST, "pytest.MonkeyPatch()\n"),
]
"""Files that break a rule."""

RULES: list[Rule] = list(dict.fromkeys(rule for rule, _, _ in BREAKS))


@cache
def modules() -> list[Module]:
    """Every Python file of the project."""
    paths = [path for folder in ("src", "tests", "bench") for path in sorted((ROOT / folder).rglob("*.py"))]
    texts = [(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in paths]
    return [Module(name, text, ast.parse(text, name)) for name, text in texts]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_file_keeps_the_rule(rule: Rule) -> None:
    found = [f"{module.name}:{line}: {text}" for module in modules() for line, text in rule(module)]

    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("rule", "name", "text"), BREAKS, ids=[f"{rule.__name__}-{n}" for n, (rule, _, _) in enumerate(BREAKS)]
)
def test_the_rule_notices_a_file_that_breaks_it(rule: Rule, name: str, text: str) -> None:
    assert list(rule(Module(name, text, ast.parse(text))))


def test_no_tracked_file_names_a_path_of_this_machine() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    too_general = {Path(ROOT.anchor), Path(tempfile.gettempdir())}
    places = [f"{place}/".encode() for place in (ROOT, ROOT.parent, Path.home()) if place not in too_general]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout.decode()
    tracked = [ROOT / name for name in listed.split("\0") if name]

    assert places
    assert tracked
    assert not [path.name for path in tracked if path.is_file() and any(place in path.read_bytes() for place in places)]


def test_no_test_can_reach_the_network() -> None:
    with socket.socket() as nobody, pytest.raises(AssertionError, match=r"tried to reach 192\.0\.2\.1"):
        nobody.settimeout(0.1)
        nobody.connect(("192.0.2.1", 9))
