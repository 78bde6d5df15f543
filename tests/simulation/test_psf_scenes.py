"""Runs of frames of many microscopes: as dense as asked, and blinking."""

from __future__ import annotations

import pytest
import torch

from autods.core import EmitterBatch, OpticalSystem
from autods.optics import PSF_MODELS
from autods.simulation.psf_scenes import SceneRanges, draw_scenes
from autods.simulation.random_psfs import PsfLibrary, library_of

_FRAMES, _RUNS, _SIDE_PX = 8, 60, 48


@pytest.fixture(scope="module")
def library() -> PsfLibrary:
    psf = PSF_MODELS["astigmatism"](OpticalSystem(110.0, 660.0, 1.3))
    return library_of(psf, -400.0, 400.0, 21)


def _drawn(library: PsfLibrary, on_frames: float) -> tuple[EmitterBatch, float]:
    """Return the emitters of some runs, and how many a frame should hold."""
    square = float(library.planes.kernels.square().sum((2, 3)).mean())
    ranges = SceneRanges((50.0, 50.0), (0.2, 0.2), (20.0, 20.0), (on_frames, on_frames))
    generator = torch.Generator().manual_seed(3)
    scenes = draw_scenes(library, torch.zeros(_RUNS, dtype=torch.long), _FRAMES, _SIDE_PX, ranges, generator)
    assert scenes.frames.shape == (_RUNS * _FRAMES, _SIDE_PX, _SIDE_PX)
    return scenes.emitters, 0.2 * square * _SIDE_PX**2


@pytest.mark.parametrize("on_frames", [1.5, 6.0])
def test_emitters_stay_on_as_long_as_asked(library: PsfLibrary, on_frames: float) -> None:
    emitters, expected = _drawn(library, on_frames)
    xy = emitters.xyz_nm[..., :2]
    inside = emitters.mask & ((xy >= 0) & (xy < _SIDE_PX)).all(2)
    # Those that are on for less than a tenth of a frame are left out, and some runs lose a border.
    assert float(inside.sum(1).float().mean()) == pytest.approx(0.9 * expected, rel=0.1)
    places = emitters.xyz_nm.view(_RUNS, _FRAMES, -1, 3)
    mask = emitters.mask.view(_RUNS, _FRAMES, -1)
    again = (places[:, :-1, :, None] == places[:, 1:, None]).all(4)
    both = (again & mask[:, :-1, :, None] & mask[:, 1:, None]).sum((1, 2, 3))
    share = both / mask[:, :-1].sum((1, 2))
    # A fifth of the runs are of frames that have nothing in common.
    alone = both == 0
    assert float(alone.float().mean()) == pytest.approx(0.2, abs=0.15)
    assert float(share[~alone].mean()) == pytest.approx(on_frames / (on_frames + 1), abs=0.07)
