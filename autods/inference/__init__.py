"""From frames to localizations: tiling and stitching, rescaling between optical systems, the localizers."""

from autods.inference.amplitudes import Amplitudes, fit_amplitudes
from autods.inference.localizer import Localizer, fitting_device, pick_device
from autods.inference.observation import Observation
from autods.inference.refine import Refined, refine_positions
from autods.inference.rescaling import Rescaling, plan_rescaling
from autods.inference.significance import required_significance
from autods.inference.splits import merge_splits
from autods.inference.stitching import stitch
from autods.inference.tiling import Tile, patch_size_px, tile_field

__all__ = [
    "Amplitudes",
    "Localizer",
    "Observation",
    "Refined",
    "Rescaling",
    "Tile",
    "fit_amplitudes",
    "fitting_device",
    "merge_splits",
    "patch_size_px",
    "pick_device",
    "plan_rescaling",
    "refine_positions",
    "required_significance",
    "stitch",
    "tile_field",
]
