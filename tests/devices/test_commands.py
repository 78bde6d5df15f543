"""Whole commands, and the parts that once failed, on a GPU that is pretended."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from autods import inference
from autods.cli.main import main
from autods.core import Camera, LocalizationTable, OpticalSystem
from autods.core.resources import models_dir
from autods.inference import fitting_device, joint_step, linear_fit, psf_fit
from autods.inference.observation import Observation
from autods.inference.psf_fit import PsfFitter
from autods.inference.told_psf import ToldPsfLocalizer
from autods.io.tables import read_table
from autods.metrics.detection import detection_metrics
from autods.optics import PSF_MODELS, ScalarPSF
from autods.optics.extent import fitted_size_px, peak_per_photon, power_sums, region_size_px
from autods.optics.field import FieldPSF, FieldVariation
from autods.optics.model_error import CorrectedPSF, ModelError
from autods.optics.phase_masks import zernike_mask
from autods.optics.planes import psf_planes
from autods.optics.pupil import Pupil
from autods.optics.spline import tabulate
from autods.pipelines import adapt3d, first_pass3d, limits3d, streaming3d, train3d, trial3d
from autods.pipelines.measure3d import Extent
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.simulate import SimulationSettings, simulate_to_folder
from autods.pipelines.streaming3d import VolumeLocalizer
from autods.simulation import VolumeConditions
from autods.simulation.regions import add_regions
from autods.zoo import load_card
from tests.devices.pretended import GPU_TYPE, pretended_gpu

OPTICS = OpticalSystem(110.0, wavelength_nm=670.0, na=1.4)
CAMERA = Camera(offset_adu=100.0)
KNOWN = [
    "optics.pixel_size_nm=110",
    "optics.wavelength_nm=670",
    "optics.na=1.4",
    "camera.offset_adu=100",
    "camera.e_per_adu=1",
]
DEPTHS = (-400.0, 400.0)


@pytest.fixture(autouse=True)
def _short(undrawn: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate few frames, and let fits take few steps: here only the devices matter."""
    for module, name, value in (
        (linear_fit, "_MAX_ITERATIONS", 2),
        (joint_step, "_MAX_ITERATIONS", 2),
        (psf_fit, "_STEPS", 2),
        (streaming3d, "_WEAKEST_FIRST", (1.0,)),
        (streaming3d, "_ROUNDS", 1),
        (first_pass3d, "_LOOKED_PX", 8_000),
        (first_pass3d, "_ENOUGH", 10),
        (first_pass3d, "_LEAST_FOUND", 5),
        (limits3d, "_ENOUGH", 5),
        (limits3d, "THRESHOLDS", (0.35,)),
        (trial3d, "_SIMULATED", 2),
        (adapt3d, "_RUNS", {"cpu": 1}),
        (adapt3d, "_SIZE_PX", 32),
    ):
        monkeypatch.setattr(module, name, value)


def _localized(command: str, movie: Path, out: Path, *words: str, doubles: bool = True) -> LocalizationTable:
    with pretended_gpu(doubles=doubles):
        assert main([command, str(movie), "--out", str(out), f"device={GPU_TYPE}", *KNOWN, *words]) == 0
    return read_table(out / "localizations.csv")


@pytest.fixture(params=[True, False], ids=["as of NVIDIA", "without numbers of 64 bits, as of Apple"])
def doubles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if not request.param:
        monkeypatch.setattr(inference.localizer, "_SINGLE_PRECISION", (GPU_TYPE,))
    return bool(request.param)


def test_2d(doubles: bool, tmp_path: Path) -> None:
    """A sparse movie, of which the network is shown windows."""
    settings = SimulationSettings(OPTICS, CAMERA, n_frames=8, size_px=128, density_per_um2=0.03)
    movie = simulate_to_folder(settings, tmp_path)
    found = _localized("localize", movie, tmp_path / "run", doubles=doubles)
    assert detection_metrics(read_table(tmp_path / "truth.csv"), found).jaccard > 0.8


def test_3d_without_training(tmp_path: Path) -> None:
    settings = SimulationSettings(
        OPTICS,
        CAMERA,
        n_frames=6,
        size_px=40,
        structure="uniform",
        density_per_um2=0.15,
        photons=5000.0,
        psf=PSF_MODELS["astigmatism"],
        z_min_nm=DEPTHS[0],
        z_max_nm=DEPTHS[1],
    )
    movie = simulate_to_folder(settings, tmp_path)
    words = [
        "psf=astigmatism",
        *(f"psf.z_{end}_nm={z}" for end, z in zip(("min", "max"), DEPTHS, strict=True)),
    ]
    found = _localized("localize3d", movie, tmp_path / "run", *words, "preset=instant")
    assert detection_metrics(read_table(tmp_path / "truth.csv"), found).jaccard > 0.5


def test_a_psf_is_looked_at_where_its_numbers_are() -> None:
    depth = np.linspace(-600.0, 600.0, 5)
    known = ModelError(depth, depth * 0, depth * 0, depth * 0 + 1, np.stack([depth * 0.02] * 3, 1))
    psf = CorrectedPSF(tabulate(PSF_MODELS["astigmatism"](OPTICS), -500, 500, size_px=33), known)

    def looked_at() -> list[float]:
        table = tabulate(psf, *DEPTHS, 100.0, 15)
        planes = psf_planes(psf, *DEPTHS, 15)
        sizes = [fitted_size_px(psf, *DEPTHS, 31), region_size_px(psf, *DEPTHS, largest_px=31)]
        return [
            peak_per_photon(psf, *DEPTHS),
            *power_sums(psf, *DEPTHS, 31),
            *sizes,
            planes.z_nm.std().item(),
            planes.kernels.max().item(),
            table.coefficients.max().item(),
        ]

    expected = looked_at()
    with pretended_gpu():
        psf.to(GPU_TYPE)
        assert looked_at() == pytest.approx(expected, rel=1e-5)


def test_a_psf_that_changes_over_the_field(doubles: bool) -> None:
    exact = ScalarPSF(OPTICS, zernike_mask(Pupil.sample(OPTICS, 48), {6: 0.12}))
    variation = FieldVariation((7, 8), np.array([[0, 0], [0.05, 0], [0, 0.05]]), (1650.0,) * 2, (1650.0,) * 2)
    field = FieldPSF(exact, variation, 2, (-500.0, 500.0), 15)
    pixel, z = torch.tensor([[6, 6], [22, 8], [14, 22]]), torch.tensor([-150.0, 50.0, 250.0])
    x, y = (pixel.T + 0.5) * OPTICS.pixel_size_nm
    images = 4000 * field.placed(x, y)(torch.stack([0 * z, 0 * z, z], 1), 15)
    light = add_regions(images, torch.zeros(3, dtype=torch.long), pixel, 1, (30, 30))
    frames = torch.poisson(light.clamp_min(0) + 20, generator=torch.Generator().manual_seed(0))
    with pretended_gpu(doubles=doubles):
        fits = fitting_device(torch.device(GPU_TYPE))
        field.to(fits)
        finder = ToldPsfLocalizer.from_card(load_card("universal"), field, DEPTHS, 15, device=GPU_TYPE)
        localizer = VolumeLocalizer(finder, PsfFitter(field, 15, DEPTHS), 3.0, passes=2)
        table = localizer(Observation.over_level(frames.to(fits), Camera(), 20.0))
    assert table.z_nm is not None
    assert 3 <= len(table) <= 4
    assert np.abs(table.z_nm[:, None] - z.numpy()).min(0).max() < 80


def test_the_network_is_adapted(tmp_path: Path) -> None:
    known = KnownPsf(PSF_MODELS["astigmatism"](OPTICS), DEPTHS)
    conditions = VolumeConditions(
        z_min_nm=DEPTHS[0],
        z_max_nm=DEPTHS[1],
        photons=(1000.0, 4000.0),
        pixel_size_nm=OPTICS.pixel_size_nm,
        n_emitters=(0, 20),
        edge_px=-4.0,
        background=(0.0, 1.0),
        noise_std=(4.0, 6.0),
        psf_sigma_nm=120.0,
    )
    train3d.copy_model(models_dir() / "universal", tmp_path)
    steps: list[str] = []
    with pretended_gpu():
        device = torch.device(GPU_TYPE)
        card, extent = load_card("universal"), Extent.of(known)
        fast = known.over_field(extent.render_px).to(fitting_device(device))
        fitter = PsfFitter(fast, extent.fit_px, DEPTHS)
        told, camera = steps.append, Camera()
        adapt3d.adapt(
            card,
            known,
            extent,
            conditions,
            0.2,
            0.01,
            tmp_path,
            "key",
            device,
            told,
            camera,
            lambda finder: VolumeLocalizer(finder, fitter, 3.0),
        )
    assert len(steps) >= 2
