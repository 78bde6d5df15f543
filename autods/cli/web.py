"""``autods web``: the web page."""

from __future__ import annotations

import importlib.util

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
    from autods.web.server import WebSettings, data_folders, serve

    config = load(WebConfig, arguments.overrides)
    port = str(arguments.options.get("--port", config.port))
    if not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--port {port} is no port: give a number from 1 to 65535")
    folders = data_folders(arguments.data)
    host = str(arguments.options.get("--host", config.host))
    wanted = WebSettings(
        folders, host, int(port), config.max_upload_mb, needs_token="--no-token" not in arguments.flags
    )
    try:
        serve(
            wanted, lambda address: print(f"autods web: {address}   (Ctrl-C ends it; runs go on)", flush=True)
        )
    except KeyboardInterrupt:
        print("autods web: ended; runs go on")
    return DONE
