"""What public docstrings say, read from the source: parameters, units, shapes, errors."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tests.docs.pages import ROOT

#: What tells the unit of a name's ending.
UNITS = {
    "nm": r"\bnm\b",
    "um": r"\bum\b",
    "um2": r"\bum\^2",
    "px": r"\bpx\b|[Pp]ixel",
    "adu": r"ADU|[Cc]amera values",
    "e": r"[Ee]lectron",
    "s": r"\bs\b|[Ss]econd",
    "minutes": r"[Mm]inute",
}
#: A reference to where the same is described.
ELSEWHERE = re.compile(r"\b([Ss]ee|[Aa]s( in| of| for| on)?) (:\w+:)?`")
SHAPE = re.compile(r"\(\s*[\w.*+/ -]+,([\w.*+/ ,-]*)\)|shape|scalar|[Ss]ame size|a pixel")
ARRAY = re.compile(r"\bTensor\b|NDArray")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Documented:
    """A public class, function or method, with where it stands and what it says."""

    place: str
    node: ast.ClassDef | Function
    text: str
    #: Lines of its file, where the comments of its fields stand.
    lines: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        return self.text.partition("\n\n")[0]

    def parameters(self) -> dict[str, str]:
        """Return what is said of each parameter: in the section, and of a class beside its fields."""
        section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n---|\Z)", self.text, re.M | re.S)
        entries = re.findall(
            r"^(\S[^\n]*)\n((?:[ ]+[^\n]*\n?|\n)*)", section[1] + "\n" if section else "", re.M
        )
        told = {
            name.strip().lstrip("*"): " ".join(said.split())
            for names, said in entries
            for name in names.partition(" : ")[0].split(",")
        }
        return told | (self._beside_fields() if isinstance(self.node, ast.ClassDef) else {})

    def _beside_fields(self) -> dict[str, str]:
        """Return the comments ``#:`` above fields; one stands for the fields up to the next one."""
        found, said = {}, ""
        for part in self.node.body:
            if not isinstance(part, ast.AnnAssign) or not isinstance(part.target, ast.Name):
                continue
            above = part.lineno - 1
            while self.lines and self.lines[above - 1].strip().startswith("#:"):
                above -= 1
            own = [line.strip().removeprefix("#:") for line in self.lines[above : part.lineno - 1]]
            said = " ".join(" ".join(own).split()) or said
            if said:
                found[part.target.id] = said
        return found

    def arguments(self) -> set[str]:
        """Return the names of what it takes; of a class, those of its fields and its ``__init__``."""
        if isinstance(self.node, ast.ClassDef):
            return set(_fields(self.node))
        given = self.node.args
        named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        return {one.arg for one in named if one is not None} - {"self", "cls"}

    def attributes(self) -> set[str]:
        """Return the names of what a class has beside: properties, and fields that it fills itself."""
        if not isinstance(self.node, ast.ClassDef):
            return set()
        fields = {part.target.id for part in self.node.body if isinstance(part, ast.AnnAssign)}  # type: ignore[union-attr]
        return fields | {part.name for part in self.node.body if isinstance(part, ast.FunctionDef)}


def _fields(node: ast.ClassDef) -> Iterator[str]:
    makers = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
    if makers:
        yield from Documented("", makers[0], "").arguments()
        return
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            given = "" if part.value is None else ast.unparse(part.value)
            if not part.target.id.startswith("_") and "init=False" not in given:
                yield part.target.id


def public() -> Iterator[Documented]:
    """Yield all that is public in the package: no part of its path begins with an underscore."""
    for path in sorted((ROOT / "autods").rglob("*.py")):
        if not path.name.startswith("_") or path.name == "__init__.py":
            text = path.read_text(encoding="utf-8")
            yield from _of(ast.parse(text), path, tuple(text.splitlines()))


def _of(node: ast.Module | ast.ClassDef, path: Path, lines: tuple[str, ...]) -> Iterator[Documented]:
    for child in node.body:
        if isinstance(child, ast.ClassDef | Function) and not child.name.startswith("_"):
            place = f"{path.relative_to(ROOT)}:{child.lineno} {child.name}"
            yield Documented(place, child, _text(child, path), lines)
            if isinstance(child, ast.ClassDef):
                yield from _of(child, path, lines)


def _text(node: ast.ClassDef | Function, path: Path) -> str:
    """Return a docstring; where its settings are filled in when it is imported, as it then is."""
    text = ast.get_docstring(node) or ""
    if "{settings}" not in text:
        return text
    module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return inspect.getdoc(getattr(module, node.name)) or ""


def says_nothing(one: Documented) -> bool:
    """Return whether a summary has no word that is not in the name already."""
    small = {"the", "return", "returns", "for", "and", "from", "with", "this", "that"}
    known = one.node.name.lower()
    said = set(re.findall("[a-z]{3,}", one.summary.lower())) - small
    return all(word in known or known in word for word in said)


def raised(node: ast.ClassDef | Function) -> set[str]:
    """Return the classes of errors that a function raises itself, a class when it is made."""
    makers = ("__init__", "__post_init__")
    of = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name in makers]
    parts = of if isinstance(node, ast.ClassDef) else [node]
    calls = [part.exc for maker in parts for part in ast.walk(maker) if isinstance(part, ast.Raise)]
    names = {call.func.id for call in calls if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)}
    return {name for name in names if name[0].isupper()} - {"NotImplementedError"}


def takes_or_gives_arrays(node: ast.AST) -> bool:
    """Return whether a function's signature has an array or a tensor."""
    if not isinstance(node, Function):
        return False
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    annotations = [*(one.annotation for one in given), node.returns]
    return any(ARRAY.search(ast.unparse(one)) for one in annotations if one is not None)


def without_unit(name: str, said: str) -> bool:
    """Return whether a parameter whose name ends in a unit is described without it."""
    unit = name.rpartition("_")[2] if "_" in name else ""
    return unit in UNITS and not re.search(UNITS[unit], said) and not ELSEWHERE.search(said)


def without_shape(one: Documented) -> bool:
    """Return whether something with arrays says no shape, and nowhere to find it."""
    text = " ".join(one.text.split())
    return not SHAPE.search(text) and not ELSEWHERE.search(text)
