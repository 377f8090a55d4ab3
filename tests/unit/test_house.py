"""The rules of the house that no linter of ours knows, held for every Python file of the repository by its
syntax tree.
"""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("server", "tests", "benchmarks", "clients", "conformance", "demo", "docs", "requirements")
MAX_FUNCTION_LINES = 40
MAX_MODULE_LINES = 300

RUNTIME_EXTRAS = ("cpu", "gpu", "heic", "plots")
"""Extras that the server runs with. What only development has is no requirement of the server."""


_Node = TypeVar("_Node", bound=ast.AST)


@dataclass(frozen=True, slots=True)
class Module:
    """A Python file: its text, its syntax tree, and the nodes of that by their class, outer ones before those
    within them.
    """

    source: str
    tree: ast.Module
    nodes: Mapping[type[ast.AST], Sequence[ast.AST]]

    @classmethod
    def of(cls, source: str) -> "Module":
        """Parse a source."""
        tree = ast.parse(source)
        nodes: dict[type[ast.AST], list[ast.AST]] = defaultdict(list)
        for node in ast.walk(tree):
            nodes[type(node)].append(node)
        return cls(source, tree, nodes)

    def all(self, kind: type[_Node]) -> Sequence[_Node]:
        """All nodes of this class."""
        return cast(Sequence[_Node], self.nodes.get(kind, ()))


Rule = Callable[[Module], Iterator[tuple[int, str]]]
"""Yields line and reason of each offence."""


def nested_conditionals(module: Module) -> Iterator[tuple[int, str]]:
    """Conditional expressions that hold another one, anywhere within; only the outermost are told."""
    inner: set[ast.IfExp] = set()
    for node in module.all(ast.IfExp):
        if node not in inner:
            within = {one for one in ast.walk(node) if isinstance(one, ast.IfExp)} - {node}
            if within:
                yield node.lineno, "nested conditional expression"
            inner |= within


def long_functions(module: Module) -> Iterator[tuple[int, str]]:
    """Functions of more than 40 lines, from `def` to the last, docstring and inner functions with them."""
    functions: list[ast.FunctionDef | ast.AsyncFunctionDef] = [*module.all(ast.FunctionDef)]
    functions += module.all(ast.AsyncFunctionDef)
    for node in functions:
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > MAX_FUNCTION_LINES:
            yield node.lineno, f"{node.name} has {lines} lines"


def missing_docstrings(module: Module) -> Iterator[tuple[int, str]]:
    """Modules that do not say what they are."""
    if not ast.get_docstring(module.tree):
        yield 1, "no module docstring"


def long_modules(module: Module) -> Iterator[tuple[int, str]]:
    """Files of more than 300 lines."""
    lines = len(module.source.splitlines())
    if lines > MAX_MODULE_LINES:
        yield MAX_MODULE_LINES + 1, f"{lines} lines"


def undeclared_imports(module: Module) -> Iterator[tuple[int, str]]:
    """Imports of packages that are in no requirement of the server, wherever in the module they stand. What
    only a type checker sees is left out.
    """
    unseen = {node for block in module.all(ast.If) if _is_for_types(block) for node in ast.walk(block)}
    named: list[tuple[ast.stmt, str]] = [
        (node, alias.name) for node in module.all(ast.Import) for alias in node.names
    ]
    named += [(node, node.module or "") for node in module.all(ast.ImportFrom) if node.level == 0]
    for node, name in named:
        package = name.partition(".")[0]
        if node not in unseen and distributions_of(package).isdisjoint(declared()):
            yield node.lineno, f"{package} is not declared in pyproject.toml"


def _is_for_types(block: ast.If) -> bool:
    """Whether this is `if TYPE_CHECKING: …`."""
    return isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"


@cache
def distributions_of(package: str) -> frozenset[str]:
    """Distributions that an import name may come from, by their normalized names; `phiserve` for our own and
    Python's.
    """
    if package in sys.stdlib_module_names or package == "phiserve":
        return frozenset({"phiserve"})
    return frozenset(map(normalized, installed().get(package, [package])))


@cache
def installed() -> dict[str, list[str]]:
    """Import name -> distributions, of this environment."""
    return dict(packages_distributions())


@cache
def declared() -> frozenset[str]:
    """Normalized names of what the server requires, with its extras."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *(line for name in RUNTIME_EXTRAS for line in extras[name])]
    return frozenset({"phiserve", *map(normalized, requirements)})


def normalized(requirement: str) -> str:
    """`Foo_bar>=1` -> `foo-bar` (PyPA's name normalization)."""
    name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def offences() -> dict[Rule, list[str]]:
    """Every offence of each rule as `path:line: reason`. Files are parsed once, and none is kept."""
    found: dict[Rule, list[str]] = defaultdict(list)
    for file in sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")):
        path = file.relative_to(ROOT)
        module = Module.of(file.read_text(encoding="utf-8"))
        for rule in EVERYWHERE if path.parts[0] != "server" else (*EVERYWHERE, undeclared_imports):
            found[rule] += [f"{path}:{line}: {reason}" for line, reason in sorted(rule(module))]
    return found


EVERYWHERE: tuple[Rule, ...] = (nested_conditionals, long_functions, missing_docstrings, long_modules)


def hold(rule: Rule) -> None:
    """Fail with one offence a line."""
    found = offences()[rule]
    assert found == [], "\n".join([f"{len(found)} offences:", *found])


def test_no_nested_conditional_expressions() -> None:
    """No `a if b else c if d else e`: an `if` statement or a named function says it."""
    hold(nested_conditionals)


def test_no_long_functions() -> None:
    """No function is longer than 40 lines."""
    hold(long_functions)


def test_modules_say_what_they_are() -> None:
    """Every module has a docstring."""
    hold(missing_docstrings)


def test_no_long_modules() -> None:
    """No module is longer than 300 lines."""
    hold(long_modules)


def test_imports_are_declared() -> None:
    """What the server imports is in its own requirements, not only in those of what it requires."""
    hold(undeclared_imports)


@pytest.mark.parametrize(
    ("rule", "source", "lines"),
    [
        (nested_conditionals, '"""D."""\na = 1 if b else 2 if c else 3', [2]),
        (nested_conditionals, '"""D."""\na = f(1 if b else 2) if c else 3 if d else 4', [2]),
        (nested_conditionals, '"""D."""\na = (1 if b else 2) + (3 if c else 4)', []),
        (long_functions, "def f():\n" + "    g()\n" * 39, []),
        (long_functions, "@d\nasync def f():\n" + "    g()\n" * 40, [2]),
        (missing_docstrings, "import os", [1]),
        (missing_docstrings, '"""D."""', []),
        (long_modules, "\n" * 300, []),
        (long_modules, "\n" * 301, [301]),
        (undeclared_imports, "import os, numpy.linalg\nfrom PIL import Image\nfrom . import pytest", []),
        (undeclared_imports, "if TYPE_CHECKING:\n    import nowhere\nelse:\n    import os", []),
        (undeclared_imports, "def f():\n    from pytest.x import y\n    import nowhere", [2, 3]),
    ],
)
def test_rules_find_offences(rule: Rule, source: str, lines: list[int]) -> None:
    """Each rule finds what it is for, and nothing else."""
    assert sorted(line for line, _ in rule(Module.of(source))) == lines
