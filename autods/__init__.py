"""One-click deep-learning single-molecule localization microscopy."""

from importlib.metadata import version

__version__ = version("autods")
