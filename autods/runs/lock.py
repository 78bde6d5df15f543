"""One process at a time writes into a run folder."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from autods.core import UserError
from autods.io.atomic import explained_writing

logger = logging.getLogger(__name__)

LOCK_FILE = ".lock"
#: Answers of file systems without locks.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Keep other processes from working in a folder while the block runs.

    The system releases the lock when the process ends, however it ends. Where the file system has no locks,
    which is logged, nothing is kept from anybody. Raises `UserError` if another living process works there,
    or the folder cannot be written.
    """
    path = folder / LOCK_FILE
    lock = FileLock(path, timeout=0)
    try:
        with explained_writing(path):
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
    except Timeout:
        raise UserError(
            f"another command is at work in {folder}: wait for it, stop it, or choose another folder"
        ) from None
    except (NotImplementedError, OSError) as error:
        # Where filelock knows no way to lock it raises NotImplementedError.
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        logger.info("%s cannot be locked: %s", folder, error)
    try:
        yield
    finally:
        lock.release()
