"""One self-contained page over the results of several suites."""

from __future__ import annotations

import base64
import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment

from autods.core import UserError
from autods.io.atomic import atomic_path
from autods.io.result_tables import Cell, Table, read_rows
from benchmarks.suite import SUITE_FILE

#: Name of the page.
PAGE_FILE = "report.html"

_TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>autods: benchmarks</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; color: #222; }
h2 { border-top: 1px solid #ccc; padding-top: 1.2rem; margin-top: 2.5rem; }
table { border-collapse: collapse; margin: .5rem 0 1.2rem; font-size: .86rem; }
th, td { padding: .15rem .7rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; }
.facts { color: #666; font-size: .84rem; }
div.wide { overflow-x: auto; }
</style>
</head>
<body>
<h1>Benchmarks</h1>
<ul>{% for part in parts %}<li><a href="#{{ part.anchor }}">{{ part.title }}</a></li>{% endfor %}</ul>
{% for part in parts %}
<h2 id="{{ part.anchor }}">{{ part.title }}</h2>
{% for figure in part.figures %}
<p><img alt="{{ figure.name }}" src="data:image/png;base64,{{ figure.png }}"><br>
<span class="facts"><a href="{{ part.folder }}/{{ figure.name }}.pdf">{{ figure.name }}.pdf</a></span></p>
{% endfor %}
{% for table in part.tables %}
<details{% if loop.first %} open{% endif %}><summary>{{ table.title }}
(<a href="{{ part.folder }}/{{ table.file }}">{{ table.file }}</a>)</summary>
<div class="wide"><table>
<tr>{% for name in table.header %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in table.rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table></div></details>
{% endfor %}
<ul>{% for note in part.notes %}<li>{{ note }}</li>{% endfor %}</ul>
<p class="facts">{% for key, value in part.facts.items() %}{{ key }}: {{ value }}<br>{% endfor %}</p>
{% endfor %}
</body>
</html>
"""


@dataclass(frozen=True)
class _Part:
    """A suite as the page shows it."""

    title: str
    anchor: str
    folder: str
    tables: list[dict[str, Any]]
    figures: list[dict[str, str]]
    notes: list[str]
    facts: dict[str, str]


def write_page(folder: Path) -> Path:
    """Write ``report.html`` over all suites whose results lie in a folder or below it.

    Parameters
    ----------
    folder
        What ``autods benchmark --out`` was given, or a folder of such.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    UserError
        If there are no results.
    """
    parts = [_part(path.parent, folder) for path in sorted(folder.rglob(SUITE_FILE))]
    if not parts:
        raise UserError(f"{folder} holds no results of `autods benchmark`: run a suite, or give its folder")
    page = Environment(autoescape=True).from_string(_TEMPLATE).render(parts=parts)
    with atomic_path(folder / PAGE_FILE) as part:
        part.write_text(page, encoding="utf-8")
    return folder / PAGE_FILE


def _part(suite: Path, root: Path) -> _Part:
    content = json.loads((suite / SUITE_FILE).read_text(encoding="utf-8"))
    relative = suite.relative_to(root).as_posix()
    return _Part(
        title=content["title"],
        anchor=f"{content['name']}-{relative}".replace("/", "-"),
        folder=relative,
        tables=[_table(suite, table) for table in content["tables"]],
        figures=[
            {"name": name, "png": base64.b64encode((suite / f"{name}.png").read_bytes()).decode()}
            for name in content["figures"]
        ],
        notes=content["notes"],
        facts=content["facts"],
    )


def _table(suite: Path, described: dict[str, str]) -> dict[str, Any]:
    rows = read_rows((suite / described["file"]).read_text(encoding="utf-8"))
    table = Table("", "", [{name: _number(cell) for name, cell in row.items()} for row in rows])
    header, *cells = table.to_text() if rows else [[]]
    return {**described, "header": header, "rows": cells}


def _number(text: str) -> Cell:
    """Return a number as a number, an empty cell as unknown, anything else as it is."""
    if not text:
        return None
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


if __name__ == "__main__":
    print(write_page(Path(sys.argv[1])))
