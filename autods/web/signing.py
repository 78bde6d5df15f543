"""The user's own key, outside of the data folders, that tells the server's jobs from planted ones."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

logger = logging.getLogger(__name__)

_KEY_FILE = "web.key"
_KEY_BYTES = 32


def state_folder() -> Path:
    """Return where this user's programs keep their state."""
    given = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(given) if given else Path.home() / ".local" / "state") / "autods"


def load_key() -> bytes:
    """Read the key, or make one that only this user can read.

    Where it cannot be kept, it lasts as long as the server, and what waits then has to be started again.
    """
    path = state_folder() / _KEY_FILE
    key = secrets.token_bytes(_KEY_BYTES)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(key)
        except FileExistsError:
            kept = path.read_bytes()
            key = kept if len(kept) == _KEY_BYTES else key
    except OSError as error:
        logger.warning("%s cannot be kept: %s", path, error)
    return key


def signature(key: bytes, place: Path, content: Mapping[str, object]) -> str:
    """Sign the content of a file for one place, so that a copy elsewhere is worth nothing."""
    text = json.dumps([str(place.resolve()), content], sort_keys=True)
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
