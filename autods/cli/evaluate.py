"""``autods evaluate``: localizations against truth, as JSON on standard output."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from autods.cli.arguments import Arguments
from autods.cli.faults import DONE
from autods.configuration.compose import load
from autods.configuration.schema import EvaluateConfig
from autods.core import LocalizationTable, UserError
from autods.io.atomic import write_text
from autods.io.tables import read_table
from autods.pipelines.settings import parse_frames

logger = logging.getLogger(__name__)


def run(arguments: Arguments) -> int:
    """Print the metrics; their names are those of `DetectionMetrics` and `ImageMetrics`."""
    config = load(EvaluateConfig, arguments.overrides)
    truth_path = arguments.options.get("--truth")
    if truth_path is None:
        raise UserError("autods evaluate needs the truth: give --truth FILE")
    text = json.dumps(score_files(arguments.paths[0], truth_path, config), indent=2)
    if arguments.out is not None:
        write_text(arguments.out / "evaluation.json", text + "\n")
    print(text)
    return DONE


def score_files(found_path: Path, truth_path: Path, config: EvaluateConfig) -> dict[str, Any]:
    """Score a table of localizations against a table of true positions.

    Returns detection and image metrics side by side, then ``resolution``, ``settings`` and ``warnings``.
    Raises `UserError` if a table cannot be read or a setting is out of range.
    """
    from autods.metrics.evaluation import evaluate, flatten

    if not config.radius_nm > 0:
        raise UserError(f"radius_nm is {config.radius_nm}: it must be greater than 0")
    pixel_size_nm = config.optics.pixel_size_nm
    frames = parse_frames(config.frames) or slice(None)
    report = evaluate(
        _in_frames(read_table(truth_path, pixel_size_nm), frames),
        _in_frames(read_table(found_path, pixel_size_nm), frames),
        radius_nm=config.radius_nm,
        axial_radius_nm=config.axial_radius_nm,
        remove_axial_offset=config.remove_axial_offset,
        remove_lateral_offset=config.remove_lateral_offset,
        shape_nm=_parse_size(config.field_nm),
        image_pixel_size_nm=config.image_pixel_size_nm,
        resolution_pixel_size_nm=config.resolution_pixel_size_nm,
    )
    for warning in report["warnings"]:
        logger.warning("%s", warning)
    return flatten(report)


def _in_frames(table: LocalizationTable, frames: slice) -> LocalizationTable:
    start = 0 if frames.start is None else frames.start
    inside = table.frame >= start
    return table.select(inside if frames.stop is None else inside & (table.frame < frames.stop))


def _parse_size(text: str | None) -> tuple[float, float] | None:
    """Read ``HEIGHT:WIDTH`` in nm."""
    if text is None:
        return None
    try:
        height, width = (float(part) for part in text.split(":"))
    except ValueError as error:
        raise UserError(f"field_nm={text} is no size: write field_nm=HEIGHT:WIDTH in nm") from error
    if not (height > 0 and width > 0):
        raise UserError(f"field_nm={text} is no size: both sides must be greater than 0")
    return height, width
