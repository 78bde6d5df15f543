"""What a training is given of a movie, on simulated movies whose truth is known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from autods.cli.main import main
from autods.core import Camera, OpticalSystem, UserError
from autods.pipelines.settings import CameraSettings, OpticsSettings
from autods.pipelines.simulate import SimulationSettings, simulate_to_folder
from autods.pipelines.training_conditions import (
    TrainingConditions,
    at_pixels_of_the_psf,
    joint,
    measure_movie,
    read_profile,
)

CAMERA = Camera(offset_adu=100.0, e_per_adu=0.5, qe=0.9, read_noise_e=3.0)
KNOWN = CameraSettings(offset_adu=100.0, e_per_adu=0.5, qe=0.9)


def simulated(folder: Path, **changes: Any) -> Path:
    settings: dict[str, Any] = {
        "n_frames": 60,
        "size_px": 80,
        "structure": "uniform",
        "density_per_um2": 0.3,
        "gradient": 0.0,
    }
    settings |= {"photons": 1500.0, "background": 30.0, "blobs": 0.0, **changes}
    optics = settings.pop("optics", OpticalSystem(100.0, wavelength_nm=660.0, na=1.3))
    return simulate_to_folder(SimulationSettings(optics, CAMERA, **settings), folder)


@pytest.mark.parametrize(
    "changes",
    [{}, {"background": 120.0, "photons": 3000.0}, {"density_per_um2": 1.0}],
    ids=["sparse", "bright", "denser"],
)
def test_the_conditions_hold_what_was_simulated(changes: dict[str, float], tmp_path: Path) -> None:
    values = measure_movie(simulated(tmp_path, **changes), OpticsSettings(), KNOWN).values
    density = changes.get("density_per_um2", 0.3)
    assert values["conditions.density_per_um2.centre"] == pytest.approx(density, rel=0.4)
    assert values["conditions.density_per_um2.high"] > 1.5 * density
    background = changes.get("background", 30.0)
    assert values["conditions.background.low"] < background < values["conditions.background.high"]
    assert values["conditions.background.centre"] == pytest.approx(background, rel=0.15)
    # 0.21 wavelength / NA
    assert values["conditions.psf_sigma_nm.low"] < 107 < values["conditions.psf_sigma_nm.high"]
    assert values["conditions.pixel_size_nm"] == 100.0
    (camera,) = values["cameras.cameras"]
    # The noise is measured as a whole: what light does not explain is the camera's.
    light = CAMERA.qe * background
    noise = (light + camera["read_noise_e"] ** 2) ** 0.5
    assert noise == pytest.approx((light + 3.0**2) ** 0.5, rel=0.12)
    assert values["data.simulator.structure"] < 0.15


def photons(values: dict[str, Any], snr: str) -> float:
    """Return the photons that an SNR means, see `ImagingConditions`."""
    (camera,) = values["cameras.cameras"]
    assert values["conditions.read_noise_photons"] == pytest.approx(camera["read_noise_e"] / 0.9, rel=0.02)
    variance = (
        values["conditions.noise_variance_factor"] * values["conditions.background.centre"]
        + values["conditions.read_noise_photons"] ** 2
    )
    sigma_px = values["conditions.psf_sigma_nm.centre"] / values["conditions.pixel_size_nm"]
    light: float = values[f"conditions.snr.{snr}"] * variance**0.5 * 2 * math.pi * sigma_px**2
    return light


def test_a_wide_psf_is_trained_at_pixels_that_hold_more_of_it(tmp_path: Path) -> None:
    wide = OpticalSystem(100.0, wavelength_nm=660.0, na=0.5)  # 2.8 px
    measured = measure_movie(simulated(tmp_path, optics=wide, photons=8000.0), OpticsSettings(), KNOWN)
    coarser = at_pixels_of_the_psf(measured)
    before, after = measured.values, coarser.values
    factor = after["conditions.pixel_size_nm"] / before["conditions.pixel_size_nm"]
    assert after["conditions.psf_sigma_nm.centre"] == before["conditions.psf_sigma_nm.centre"]
    assert after["conditions.psf_sigma_nm.centre"] / after["conditions.pixel_size_nm"] == pytest.approx(
        1.5, rel=1e-3
    )
    assert after["conditions.background.low"] == pytest.approx(
        factor**2 * before["conditions.background.low"], rel=1e-3
    )
    assert "coarser pixels" in coarser.sources["conditions.snr.low"]
    # The molecules are as bright as they were.
    for end in ("low", "centre", "high"):
        assert photons(after, end) == pytest.approx(photons(before, end), rel=0.02)


def test_a_narrow_psf_keeps_its_pixels(tmp_path: Path) -> None:
    measured = measure_movie(simulated(tmp_path), OpticsSettings(), KNOWN)
    assert at_pixels_of_the_psf(measured) is measured


def test_an_uneven_background_is_trained_for(tmp_path: Path) -> None:
    even = measure_movie(simulated(tmp_path / "even"), OpticsSettings(), KNOWN)
    uneven = measure_movie(simulated(tmp_path / "uneven", gradient=0.9, blobs=1.0), OpticsSettings(), KNOWN)
    key = "data.simulator.gradient"
    assert uneven.values[key] > even.values[key] + 0.05


def test_an_unknown_camera_is_said_to_be(tmp_path: Path) -> None:
    found = measure_movie(simulated(tmp_path), OpticsSettings(), CameraSettings())
    assert "not known" in found.sources["conditions.background.centre"]


def test_several_movies_share_limits() -> None:
    def part(low: float, centre: float, high: float, pixel: float = 100.0) -> TrainingConditions:
        named = {"low": low, "centre": centre, "high": high}
        values = {f"conditions.snr.{name}": value for name, value in named.items()}
        return TrainingConditions({"conditions.pixel_size_nm": pixel, **values}, dict.fromkeys(values, "m"))

    both = joint([part(1, 2, 3), part(2, 6, 9)])
    assert [both.values[f"conditions.snr.{name}"] for name in ("low", "centre", "high")] == [1, 4, 9]
    with pytest.raises(UserError, match="pixels of 100, 160 nm"):
        joint([part(1, 2, 3), part(1, 2, 3, 160.0)])


@pytest.mark.usefixtures("undrawn")
def test_a_movie_is_trained_for_and_localized_with_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    movie = simulated(tmp_path, n_frames=20)
    camera = ["camera.offset_adu=100", "camera.e_per_adu=0.5"]
    small = ["trainer.max_steps=2", "data.batch_size=2", "data.batches_per_epoch=2", "light=gaussian"]
    small += ["data.validation_batches=1", "trainer.accelerator=cpu", "trainer.progress_bar=false"]
    run = tmp_path / "run"
    words = [*camera, *small, f"out={run}", f"hydra.run.dir={tmp_path / 'hydra'}"]
    assert main(["train", f"movie={movie}", *words, "conditions.snr.high=99"]) == 0
    import yaml

    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["sources"]["conditions.density_per_um2.centre"] == "measured on movie.tif, 1 patches"
    assert config["sources"]["conditions.snr.high"] == "given"
    assert config["conditions"]["snr"]["high"] == 99
    out = tmp_path / "localized"
    assert main(["localize", str(movie), f"model={run}", *camera, "--out", str(out)]) == 0
    assert "from_movie" in (out / "plan.yaml").read_text()
    # The profile says the same as the movie itself.
    assert main(["profile", str(movie), *camera, "--out", str(tmp_path)]) == 0
    told = json.loads((tmp_path / "profile.json").read_text())["training"]["values"]
    assert told["conditions.snr.centre"] == config["conditions"]["snr"]["centre"]
    capsys.readouterr()
    assert main(["train", "experiment=zoo/mixture", "conditions=measured", *words]) == 2
    assert "name what to measure it on with movie=MOVIE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cameras.cameras", [{"_target_": "os.system", "command": "touch owned"}]),
        ("conditions.snr", {"_target_": "os.system", "command": "touch owned"}),
        ("conditions.snr.centre", "${oc.env:HOME}"),
        ("conditions._target_", "os.system"),
        ("module._target_", 1.0),
        ("conditions.snr.centre", float("nan")),
        ("conditions.snr.centre", True),
    ],
)
def test_a_profile_holds_numbers_and_makes_nothing(key: str, value: object, tmp_path: Path) -> None:
    """A file that somebody else wrote neither names what is run nor reads the environment."""
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({"training": {"values": {key: value}, "sources": {key: "somebody"}}}))
    with pytest.raises(UserError, match=r"profile\.json is no profile"):
        read_profile(path)


def test_a_camera_of_a_profile_is_a_camera(tmp_path: Path) -> None:
    numbers = {"offset_adu": 100.0, "e_per_adu": 0.5, "em_gain": None, "qe": 0.9, "read_noise_e": 1.5}
    own = {"_target_": "os.system", **numbers}
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({"training": {"values": {"cameras.cameras": [own]}, "sources": {}}}))
    assert read_profile(path).values["cameras.cameras"] == [{**numbers, "_target_": "autods.core.Camera"}]
