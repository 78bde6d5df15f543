"""The version, and a checkout that was never installed."""

from __future__ import annotations

import importlib
from importlib import metadata

import pytest

import autods


def test_a_checkout_that_is_not_installed_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    with monkeypatch.context() as context:
        context.setattr(metadata, "version", missing)
        assert importlib.reload(autods).__version__ == "unknown"
    assert importlib.reload(autods).__version__ == metadata.version("autods-smlm")
