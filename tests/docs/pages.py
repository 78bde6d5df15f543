"""The fenced blocks of README and docs, and the commands in them and in the running text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
SHELLS = ("bash", "sh", "console", "zsh")
#: What a command of the running text begins with.
INLINE = r"(?:\.venv/bin/)?(?:autods|make|python|pip|pipx|uv|conda|hadolint|sbatch|bash|scripts/[\w.]+) "


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, the line it begins at, its language and its text."""

    page: str
    line: int
    language: str
    text: str

    @property
    def id(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(r"^```(\w+)[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        line = text[: match.start()].count("\n") + 1
        yield Block(str(page.relative_to(ROOT)), line, match[1], match[2])


def lines(block: Block) -> Iterator[str]:
    """Yield the commands of a shell block as they are typed, without comments; continued lines are joined."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if command := re.sub(r"(^|\s)#.*", "", line).strip():
            yield command


def commands(block: Block) -> Iterator[list[str]]:
    """Yield the words of each command of a shell block, without the variables set before it."""
    for line in lines(block):
        words = shlex.split(line)
        while re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        yield words


def inline(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command that stands between backticks in a page's text."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for found in re.findall(rf"(?<!`)`({INLINE}[^`]+)`", text):
        yield shlex.split(found.replace("\\|", "|"))


ALL = [block for page in PAGES for block in blocks(page)]
BASH = [block for block in ALL if block.language in SHELLS]
INLINE_COMMANDS = sorted({tuple(words) for page in PAGES for words in inline(page)})
