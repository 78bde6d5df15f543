"""The settings of the 3D pipeline that a command line means."""

from __future__ import annotations

from autods.cli.arguments import Arguments
from autods.cli.localize3d import sources_of
from autods.configuration import convert3d
from autods.pipelines.settings3d import Localize3DSettings


def localize3d_settings(arguments: Arguments) -> Localize3DSettings:
    config = convert3d.compose_localize3d(arguments.overrides)
    return convert3d.localize3d_settings(config, sources_of(arguments))
