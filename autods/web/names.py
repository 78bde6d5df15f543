"""Names of files on the page: any bytes can be one, and not all of them are text."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

_AS_BYTES = "bytes:"


def shown(name: str | Path) -> str:
    """Return a name as people read it: what is no text becomes a replacement character."""
    return str(name).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def path_text(path: str | Path) -> str:
    """Return a path as text that any encoding of an address keeps; `path_of` reads it."""
    text = str(path)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return _AS_BYTES + quote_from_bytes(os.fsencode(text))
    return text


def path_of(text: str) -> str:
    """Read what `path_text` wrote."""
    if text.startswith(_AS_BYTES):
        return os.fsdecode(unquote_to_bytes(text.removeprefix(_AS_BYTES)))
    return text
