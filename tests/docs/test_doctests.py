"""The examples in public docstrings run, and say what they print."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import autods

#: Packages whose modules are searched for examples.
PACKAGES = (
    *("api", "core", "estimation", "io", "metrics", "networks", "optics"),
    *("postprocessing", "rendering", "representation", "simulation", "zoo"),
)
#: Of the public functions, examples that take over 5 s: whole stacks, a training.
SLOW = {"localize3d", "calibrate", "train"}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules() -> Iterator[str]:
    for package in PACKAGES:
        home = importlib.import_module(f"autods.{package}")
        yield home.__name__
        yield from (found.name for found in pkgutil.iter_modules(home.__path__, f"{home.__name__}."))


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in modules() for test in finder.find(importlib.import_module(name), name)]
    return [test for test in found if test.examples]


EXAMPLES = examples()


def _parameter(test: doctest.DocTest) -> object:
    is_slow = test.name.rpartition(".")[2] in SLOW
    return pytest.param(test, id=test.name, marks=[pytest.mark.slow] if is_slow else [])


@pytest.mark.parametrize("test", [_parameter(test) for test in EXAMPLES])
def test_the_example_runs(test: doctest.DocTest) -> None:
    said: list[str] = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append, clear_globs=False)
    assert result.failed == 0, "".join(said)


def test_every_public_function_has_an_example() -> None:
    with_examples = {test.name.rpartition(".")[2] for test in EXAMPLES}
    public = {name for name in autods.__all__ if name not in ("__version__", "Simulated", "UserError")}
    assert public <= with_examples, f"these lack an example: {sorted(public - with_examples)}"
    assert len(EXAMPLES) >= 60
