"""MkDocs hook: pages of the navigation that are not written yet are left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Keep the entries whose files exist."""
    config.nav = [kept for item in config.nav if (kept := _existing(item, Path(config.docs_dir)))]
    return config


def _existing(item: Any, folder: Path) -> Any:
    if isinstance(item, str):
        return item if (folder / item).is_file() else None
    ((title, content),) = item.items()
    if isinstance(content, str):
        return item if (folder / content).is_file() else None
    kept = [entry for child in content if (entry := _existing(child, folder))]
    return {title: kept} if kept else None
