"""The architecture as a test: layers, cycles, where the heavy libraries may be used, and size budgets.

What ruff checks (docstrings, prints, bare excepts) is left to it.

A new exception goes into an allow-list below with its reason, or not at all.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "autods"

LAYERS = {
    "core": 0,
    "optics": 1,
    "io": 1,
    "networks": 1,
    "metrics": 1,
    "rendering": 1,
    "representation": 1,
    "simulation": 2,
    "estimation": 2,
    "calibration": 2,
    "postprocessing": 2,
    "zoo": 2,
    "runs": 2,
    "training": 3,
    "inference": 3,
    "pipelines": 4,
    "configuration": 5,
    "cli": 6,
    "api": 6,
    "web": 6,
    "plugins": 6,
}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50

#: Libraries that only some packages may import at all.
LIBRARY_HOMES = {
    "pytorch_lightning": {"training", "inference", "pipelines", "cli", "web"},
    "lightning": set[str](),
    "lightning_fabric": {"pipelines", "training"},
    "hydra": {"configuration", "cli"},
    "omegaconf": {"configuration", "cli"},
    "rich": {"cli"},
    "nicegui": {"web"},
    "fastapi": {"web"},
    "starlette": {"web"},
    "uvicorn": {"web"},
}
#: Libraries slow to import or with global state: only inside functions, and only in these packages.
FUNCTION_ONLY = {"matplotlib": {"rendering", "calibration", "training", "pipelines", "cli"}}

#: (relative path) -> reason, for files over MAX_FILE_LINES.
LONG_FILES: dict[str, str] = {}
#: (relative path, function) -> reason, for functions over MAX_FUNCTION_LINES.
LONG_FUNCTIONS: dict[tuple[str, str], str] = {
    ("autods/api/localization.py", "localize"): "nothing but a signature of keyword arguments",
    ("autods/training/fit.py", "fit"): "mostly a signature and the arguments of one constructor",
}

MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted([*(ROOT / "scripts").glob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def package_of(path: Path) -> str:
    """Name of the package of the layer table that a file belongs to ('' for autods/__init__.py)."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def module_of(path: Path) -> list[str]:
    """Dotted parts of the package that holds the file's code, for relative imports."""
    return list(path.relative_to(ROOT).parts[:-1])


def imports(node: ast.AST, path: Path) -> Iterator[str]:
    """Yield the dotted names that a tree imports, relative ones made absolute."""
    for item in ast.walk(node):
        if isinstance(item, ast.Import):
            yield from (alias.name for alias in item.names)
        elif isinstance(item, ast.ImportFrom):
            here = module_of(path)
            base = here[: len(here) - item.level + 1] if item.level else []
            source = ".".join([*base, *([item.module] if item.module else [])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in item.names)


def imported_packages(path: Path, *, module: ast.Module | None = None) -> set[str]:
    """Packages of autods, other than its own, that a file imports, at module level or inside a function."""
    found = set()
    for name in imports(module or tree(path), path):
        parts = name.split(".")
        if parts[0] == "autods" and len(parts) > 1 and parts[1] in LAYERS:
            found.add(parts[1])
    return found - {package_of(path)}


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> int:
    """Count a function's lines without its docstring, blank lines and comments."""
    body = function.body
    doc: range = range(0)
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        doc = range(body[0].lineno, (body[0].end_lineno or 0) + 1)
    return sum(
        1
        for number in range(function.lineno, (function.end_lineno or 0) + 1)
        if number not in doc and lines[number - 1].strip() and not lines[number - 1].strip().startswith("#")
    )


def test_every_package_has_a_layer() -> None:
    packages = {package_of(path) for path in MODULES} - {""}
    assert packages <= set(LAYERS), f"give these a layer: {sorted(packages - set(LAYERS))}"


def test_the_diagram_shows_the_layers() -> None:
    from scripts.architecture_figures import LAYERS as DRAWN

    shown = {name: len(DRAWN) - 1 - row for row, names in enumerate(DRAWN.values()) for name in names}
    assert shown == LAYERS


def test_imports_point_down_the_layers() -> None:
    wrong = {}
    for path in MODULES:
        own = package_of(path)
        if not own:
            at_runtime = without_type_checking(tree(path))
            assert not imported_packages(path, module=at_runtime), (
                "autods/__init__.py must stay cheap to import"
            )
        elif upward := {name for name in imported_packages(path) if LAYERS[name] > LAYERS[own]}:
            wrong[relative(path)] = upward
    assert not wrong, f"these import from above: {wrong}"


def test_the_package_does_not_know_the_benchmarks() -> None:
    def used(path: Path) -> set[str]:
        return {name.split(".")[0] for name in imports(tree(path), path)}

    users = [relative(path) for path in MODULES if "benchmarks" in used(path)]
    assert not users


def remaining_cycle(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return what is left of a graph when all that is on no cycle has been taken away."""
    while True:
        used = {name for uses in graph.values() for name in uses}
        kept = {name: uses & graph.keys() for name, uses in graph.items() if uses & graph.keys()}
        left = {name: uses for name, uses in kept.items() if name in used}
        if left == graph:
            return graph
        graph = left


def test_packages_form_no_cycle() -> None:
    graph: dict[str, set[str]] = {name: set() for name in LAYERS}
    for path in MODULES:
        if package_of(path):
            graph[package_of(path)] |= imported_packages(path)
    assert not (left := remaining_cycle(graph)), f"these packages import each other in a cycle: {left}"


def test_files_form_no_cycle() -> None:
    def name_of(path: Path) -> str:
        return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")

    graph = {
        name_of(path): set(imports(without_type_checking(tree(path)), path)) - {name_of(path)}
        for path in MODULES
    }
    assert not (left := remaining_cycle(graph)), f"these files import each other in a cycle: {left}"


def without_type_checking(module: ast.Module) -> ast.Module:
    """Return a module without what is imported for its types only."""
    kept = [
        item
        for item in module.body
        if not (isinstance(item, ast.If) and ast.unparse(item.test) == "TYPE_CHECKING")
    ]
    return ast.Module(kept, type_ignores=[])


def test_libraries_stay_in_their_packages() -> None:
    wrong = [
        f"{library} is not for {relative(path)}"
        for path in MODULES
        for library in {name.split(".")[0] for name in imports(tree(path), path)} & LIBRARY_HOMES.keys()
        if package_of(path) not in LIBRARY_HOMES[library]
    ]
    assert not wrong, wrong


def test_plotting_is_imported_inside_functions() -> None:
    for path in MODULES:
        used = {name.split(".")[0] for name in imports(tree(path), path)}
        body = without_type_checking(tree(path)).body
        top_level = [item for item in body if not isinstance(item, ast.FunctionDef | ast.ClassDef)]
        outside = ast.Module(top_level, type_ignores=[])
        at_module_level = {name.split(".")[0] for name in imports(outside, path)}
        for library, homes in FUNCTION_ONLY.items():
            if library in used:
                assert package_of(path) in homes, f"{library} is not for {relative(path)}"
                assert library not in at_module_level, (
                    f"import {library} inside the function: {relative(path)}"
                )


def test_no_path_edits() -> None:
    edits = [
        f"{relative(path)}:{node.lineno}"
        for path in MODULES + SCRIPTS + TESTS
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and node.attr == "path"
        and isinstance(node.value, ast.Name)
        and node.value.id == "sys"
    ]
    assert not edits, f"sys.path is touched in {edits}"


def test_files_are_short() -> None:
    lengths = {
        relative(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in MODULES + SCRIPTS + TESTS
    }
    long = {name: n for name, n in lengths.items() if n > MAX_FILE_LINES and name not in LONG_FILES}
    assert not long, f"files of more than {MAX_FILE_LINES} lines: {long}"


def test_functions_are_short() -> None:
    long = {}
    for path in MODULES + SCRIPTS:
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length, name = code_lines(node, lines), (relative(path), node.name)
                if length > MAX_FUNCTION_LINES and name not in LONG_FUNCTIONS:
                    long[name] = length
    assert not long, f"functions of more than {MAX_FUNCTION_LINES} lines: {long}"


def test_the_checks_can_fail() -> None:
    source = "import matplotlib\nfrom .. import cli\nfrom autods.web import x\n"
    names = set(imports(ast.parse(source), PACKAGE / "core" / "x.py"))
    assert {"matplotlib", "autods.cli", "autods.web"} <= names
    assert remaining_cycle({"a": {"b"}, "b": {"a"}, "c": {"a"}}).keys() >= {"a", "b"}
    body = "\n".join(f"    a = {i}" for i in range(60))
    function = f'def f():\n    """Doc.\n\n    more\n    """\n{body}\n'
    parsed = ast.parse(function).body[0]
    assert isinstance(parsed, ast.FunctionDef)
    assert code_lines(parsed, function.splitlines()) == 61
