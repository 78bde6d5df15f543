"""The latest results of slow functions, up to a number of bytes, for several threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Value = TypeVar("Value")


class Kept:
    """Results by key; the one that was not used for longest goes first."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.n_bytes = 0
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, make: Callable[[], Value], size: Callable[[Value], int]) -> Value:
        """Return a result, made once however many threads ask for it; what fails is made again.

        Parameters
        ----------
        key
            All that the result depends on.
        make, size
            Makes it, and tells its bytes.
        """
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                kept: Value = self._values[key][0]
                return kept
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._values:
                    made: Value = self._values[key][0]
                    return made
            try:
                value = make()
                self._keep(key, value, size(value))
            finally:
                with self._lock:
                    self._making.pop(key, None)
        return value

    def _keep(self, key: Hashable, value: object, n_bytes: int) -> None:
        with self._lock:
            self._values[key] = (value, n_bytes)
            self.n_bytes += n_bytes
            while self.n_bytes > self.most_bytes and len(self._values) > 1:
                _, (_, freed) = self._values.popitem(last=False)
                self.n_bytes -= freed
