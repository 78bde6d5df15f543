"""What all pages have: the bar on top, panels, chips, messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from nicegui import ui

_STYLE = Path(__file__).parents[1] / "style.css"
_NAVIGATION = (("Start", "/"), ("Runs", "/runs"))


@contextmanager
def page(title: str, current: str = "") -> Iterator[None]:
    """Lay out a page; its content goes into the block.

    Parameters
    ----------
    title
        Heading, and title of the window.
    current
        Address of the entry of the bar that the page belongs to.
    """
    ui.page_title(f"{title} - autods")
    ui.add_css(_STYLE.read_text(encoding="utf-8"))
    ui.colors(primary="#0b5cad")
    ui.html('<a class="skip" href="#content">Skip to the content</a>', sanitize=False)
    with ui.header().classes("bar items-center"):
        ui.link("autods", "/").classes("brand")
        for name, address in _NAVIGATION:
            link = ui.link(name, address)
            if address == current:
                link.props('aria-current="page"')
    with ui.element("main").classes("page").props('id="content"'):
        heading(title)
        yield


def heading(text: str, level: int = 1) -> None:
    """Write a heading."""
    with ui.element(f"h{level}"):
        ui.label(text)


@contextmanager
def panel(title: str = "") -> Iterator[ui.element]:
    """Frame a part of a page."""
    with ui.element("section").classes("panel") as section:
        if title:
            heading(title, 2)
        yield section


def text_table(rows: Iterable[Sequence[str]], *, is_headed: bool = False) -> None:
    """Show rows of texts; the first of each names it where they are headed."""
    with ui.element("table").classes("plain"), ui.element("tbody"):
        for row in rows:
            with ui.element("tr"):
                for index, text in enumerate(row):
                    with ui.element("th" if is_headed and index == 0 else "td"):
                        ui.label(text).classes("wrap")


@contextmanager
def headed_table(*names: str) -> Iterator[None]:
    """Head a table of runs; its rows go into the block."""
    with ui.element("div").classes("wide-table"), ui.element("table").classes("plain runs"):
        with ui.element("thead"), ui.element("tr"):
            for name in names:
                with ui.element("th"):
                    ui.label(name)
        with ui.element("tbody"):
            yield


def chip(text: str, kind: str = "") -> ui.label:
    """Write a word with a coloured ground; the colour only repeats the word."""
    return ui.label(text).classes(f"chip {kind}".strip())


def problem(text: str) -> ui.label:
    """Write an error where it belongs, for screen readers at once."""
    return ui.label(text).classes("problem").props('role="alert"')


def later(work: Callable[[], Awaitable[None]]) -> None:
    """Do something once the browser shows the page, whatever becomes of the part that asks for it."""
    with ui.context.client.content:
        ui.timer(0, work, once=True)


def waiting(text: str, back: str) -> None:
    """Say what is waited for, and lead away from it."""
    with panel(), ui.element("div").classes("line").props('role="status"'):
        ui.spinner(size="sm").props('aria-hidden="true"')
        ui.label(text).classes("wrap")
        ui.link("Cancel", back)


def error_panel(title: str, text: str, ways_on: Mapping[str, str] | None = None) -> None:
    """Say what is wrong and lead back, or on to further addresses by their names."""
    with panel(title):
        ui.label(text).classes("notice" if ways_on else "notice bad").props('role="alert"')
        for name, address in (ways_on or {}).items():
            ui.link(name, address)
        ui.link("Back to the start page", "/")


def confirm(question: str, word: str, act: Callable[[], Awaitable[None]]) -> None:
    """Ask before something is removed; ``word`` does it."""
    with ui.dialog() as dialog, ui.card():
        ui.label(question).classes("wrap")

        async def go() -> None:
            dialog.close()
            await act()

        with ui.row():
            ui.button(word, on_click=go).props("no-caps color=negative")
            ui.button("Cancel", on_click=dialog.close).props("flat no-caps")
    dialog.on("hide", dialog.delete)
    dialog.open()


def number_text(value: object, unit: str = "", digits: int = 3) -> str:
    """Write a measured number, or 'not known'."""
    if not isinstance(value, int | float):
        return "not known"
    return f"{value:.{digits}g} {unit}".strip()


def size_text(n_bytes: int) -> str:
    """Write a file's size."""
    size = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return ""


def duration_text(seconds: object) -> str:
    """Write a duration: 42 s, 3 min 10 s, 2 h 5 min; '' when not known."""
    if not isinstance(seconds, int | float):
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
