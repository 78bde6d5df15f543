"""Settings of all tests."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes is a matter of what else the machine does.
settings.register_profile("untimed", deadline=None)
# In CI the same examples are drawn every time, so that a change never fails for another's rare example.
settings.register_profile("ci", settings.get_profile("untimed"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "untimed")

# A shell starts background jobs deaf to SIGINT, which the processes that tests start would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, which take half of a short run: other tests look at them."""

    def save(_: object, target: Any, **__: object) -> None:
        if hasattr(target, "write"):
            target.write(b"")
        else:
            Path(target).write_bytes(b"")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", save)
