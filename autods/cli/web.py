"""``autods web``: the web page."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from autods.cli.arguments import Arguments, UsageError
from autods.cli.faults import DONE
from autods.configuration.compose import load
from autods.configuration.schema import WebConfig


def run(arguments: Arguments) -> int:
    """Serve the page until Ctrl-C.

    Raises `UsageError` if the web library is not installed, or the port is no number.
    """
    if importlib.util.find_spec("nicegui") is None:
        raise UsageError("the web page needs more packages: pip install 'nicegui>=3.10,<4'")
    from autods.web.server import serve

    config = load(WebConfig, arguments.overrides)
    port = str(arguments.options.get("--port", config.port))
    if not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--port {port} is no port: give a number from 1 to 65535")
    config.host, config.port = str(arguments.options.get("--host", config.host)), int(port)
    try:
        serve(
            arguments.data or (Path.cwd(),),
            config,
            lambda address: print(f"autods web: {address}   (Ctrl-C ends it; runs go on)", flush=True),
            needs_token="--no-token" not in arguments.flags,
        )
    except KeyboardInterrupt:
        print("autods web: ended; runs go on")
    return DONE
