"""A process for what takes seconds and memory: sorting a large table, writing a filtered one.

Started by `autods.web.results`; prints the share that is done, or a line beginning with ``error:``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from autods.core import UserError
from autods.pipelines.exports import export_table
from autods.pipelines.sorted_table import Source, sort_table


def main(words: Sequence[str]) -> int:
    """Do what the words say: ``sort RUN SOURCE`` or ``table RUN SOURCE FILTER CORRECTED FILE``."""
    try:
        run, source = Path(words[1]), get_args(Source)[get_args(Source).index(words[2])]
        if words[0] == "sort":
            sort_table(run, source, lambda share: _say(f"{share:.3f}"))
        else:
            export_table(run, source, words[3], words[4] == "true", Path(words[5]))
    except UserError as error:
        _say(f"error:{error}")
        return 2
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
