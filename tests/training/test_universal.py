"""Training of the network that is told the PSF: goes on where it was ended, and becomes a model."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from autods.core import OpticalSystem
from autods.networks.universal import UniversalNet
from autods.optics import PSF_MODELS
from autods.simulation.random_psfs import draw_psfs, library_of
from autods.training.universal import UniversalTrainer, UniversalTraining
from autods.training.universal_export import export_universal
from autods.zoo import load_model

_CPU = torch.device("cpu")


def _training(minutes: float) -> UniversalTraining:
    return UniversalTraining(
        {"width": 8, "steps": 2}, minutes, 1, 2, 32, evaluations=1, held_out=1, held_out_frames=2
    )


def test_a_training_is_saved_goes_on_and_becomes_a_model(tmp_path: Path) -> None:
    psf = PSF_MODELS["astigmatism"](OpticalSystem(110.0, 660.0, 1.3))
    library = library_of(psf, -400.0, 400.0, 21)
    files = tmp_path / "weights.safetensors", tmp_path / "state.pt"
    first = UniversalTrainer(_training(0.03), *files, _CPU, library=library)
    first.run(lambda _: None)
    assert first.step > 0
    second = UniversalTrainer(_training(0.12), *files, _CPU, library=library)
    assert second.step == first.step
    second.run(lambda _: None)
    assert second.step > first.step
    with safe_open(files[0], "pt") as file:
        assert len(json.loads(file.metadata()["history"])) == 2
    card = export_universal(files[0], tmp_path / "universal")
    network = load_model(card)
    for name, value in load_file(files[0]).items():
        torch.testing.assert_close(network.state_dict()[name], value, atol=1e-3, rtol=1e-2)


def test_going_on_for_one_psf_keeps_the_norms_of_all(tmp_path: Path) -> None:
    psf = PSF_MODELS["astigmatism"](OpticalSystem(110.0, 660.0, 1.3))
    library = library_of(psf, -400.0, 400.0, 21)
    start = UniversalNet(**_training(1.0).network).state_dict()
    files = tmp_path / "weights.safetensors", tmp_path / "state.pt"
    trainer = UniversalTrainer(_training(0.03), *files, _CPU, start, library)
    trainer.run(lambda _: None)
    assert trainer.step > 1
    for name, value in load_file(files[0]).items():
        is_norm = name.endswith(("running_mean", "running_var"))
        assert not is_norm or torch.equal(value, start[name])
    assert any(not torch.equal(value, start[name]) for name, value in load_file(files[0]).items())


def test_a_seed_gives_the_same_psfs() -> None:
    one, two = (draw_psfs(3, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one.planes.kernels, two.planes.kernels)
    assert one.planes.kernels.sum((2, 3)).min() > 0.7
    assert bool((one.planes.z_nm.diff(dim=1) > 0).all())
