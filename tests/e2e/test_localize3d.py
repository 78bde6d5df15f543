"""The 3D one-click from a simulated movie to a run folder, with a training of a few steps."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from autods.cli.main import main
from autods.core import Camera, LocalizationTable, OpticalSystem
from autods.io.images import write_movie_tiff
from autods.io.tables import read_table
from autods.optics import PSF_MODELS, ScalarPSF, save_psf
from autods.pipelines import first_pass3d, limits3d, trial3d
from autods.pipelines.outputs3d import OUTPUT_FILES
from autods.pipelines.simulate import SimulationSettings, simulate_to_folder
from autods.training.history import read_history

OPTICS = OpticalSystem(pixel_size_nm=100.0, wavelength_nm=660.0, na=1.4)
FORMULA = ["psf=astigmatic_gaussian", "psf.z_min_nm=-400", "psf.z_max_nm=400"]
KNOWN = [
    "optics.pixel_size_nm=100",
    "optics.wavelength_nm=660",
    "optics.na=1.4",
    "camera.offset_adu=100",
    "camera.e_per_adu=1",
    "device=cpu",
]
SHORT = ["trainer.max_steps=4", "data.batches_per_epoch=2", "data.validation_batches=1", "data.size_px=24"]


@pytest.fixture(scope="module", autouse=True)
def _few_frames_are_tried() -> Iterator[None]:
    """How good the stages are at finding population and limits, their own tests show, with all frames."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first_pass3d, "_LOOKED_PX", 50_000)
        patch.setattr(first_pass3d, "_ENOUGH", 60)
        patch.setattr(limits3d, "_ENOUGH", 20)
        patch.setattr(limits3d, "THRESHOLDS", (0.1, 0.35))
        patch.setattr(trial3d, "_SIMULATED", 12)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated")
    settings = SimulationSettings(
        OPTICS,
        Camera(offset_adu=100.0),
        n_frames=30,
        size_px=48,
        structure="uniform",
        density_per_um2=0.15,
        photons=4000.0,
        on_frames=1.0,
        psf=PSF_MODELS["astigmatic_gaussian"],
        z_min_nm=-400.0,
        z_max_nm=400.0,
    )
    simulate_to_folder(settings, out)
    return out


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "result"
    assert localize(folder, out, *FORMULA) == 0
    return out


def localize(folder: Path, out: Path, *words: str) -> int:
    return main(["localize3d", str(folder / "movie.tif"), "--out", str(out), *KNOWN, *SHORT, *words])


@pytest.mark.usefixtures("undrawn")
def test_without_training(folder: Path, tmp_path: Path) -> None:
    assert localize(folder, tmp_path / "out", *FORMULA, "preset=instant") == 0
    assert "train" in stages_of(tmp_path / "out")
    assert not (tmp_path / "out" / "training").exists()
    test = json.loads((tmp_path / "out" / "stages" / "test.json").read_text())["results"]
    assert set(test["real"]["turned"]) == {"mirrored"}
    assert test["simulated"]["jaccard"] > 0.3
    # The run's model is told the PSF again.
    limits = ["decode.threshold=0.3", "decode.min_significance=5"]
    assert localize(folder, tmp_path / "again", "--run", str(tmp_path / "out"), *FORMULA[1:], *limits) == 0


def stages_of(out: Path) -> list[str]:
    return [stage["name"] for stage in json.loads((out / "run.json").read_text())["stages"]]


def test_the_run_folder_is_complete(run: Path) -> None:
    assert not [name for name in OUTPUT_FILES if not (run / name).is_file()]
    for name in ("calibrate", "background", "snr", "train", "test"):
        assert (run / "stages" / f"{name}.json").is_file()
        assert (run / "stages" / f"{name}.png").is_file()
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "done"
    assert record["kind"] == "localize3d"
    assert not (run / ".partial").exists()
    history = read_history(run / "training" / "metrics.csv")
    assert [row["step"] for row in history if "val/jaccard" in row] == [2, 4]
    assert all("train/loss" in row for row in history)


def test_the_table_is_in_depth(run: Path) -> None:
    table = read_table(run / "localizations.csv")
    assert table.is_3d
    hdf5 = read_table(run / "localizations.hdf5")
    assert len(hdf5) == len(table)
    assert isinstance(table, LocalizationTable)


def test_noise_and_photons_are_those_of_the_simulation(run: Path) -> None:
    found = json.loads((run / "stages" / "snr.json").read_text())["results"]
    # 20 photons of background: shot noise of 4.5.
    assert found["noise_std"] == pytest.approx(np.sqrt(20), rel=0.35)
    assert found["photons"] > 4000
    background = json.loads((run / "stages" / "background.json").read_text())["results"]
    assert background["photons_median"] == pytest.approx(20, abs=3)
    assert background["noise_1st_percentile"] == pytest.approx(np.sqrt(20), rel=0.15)
    assert found["noise_std_range"][0] == background["noise_1st_percentile"]


@pytest.mark.usefixtures("undrawn")
def test_repeating_does_nothing_and_a_later_change_keeps_the_training(
    run: Path, folder: Path, tmp_path
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(run, out)
    weights = (out / "model" / "weights.safetensors").stat().st_mtime_ns
    before = (out / "run.json").read_bytes()
    assert localize(folder, out, *FORMULA) == 0
    assert (out / "run.json").read_bytes() == before
    assert localize(folder, out, *FORMULA, "decode.threshold=0.9") == 0
    assert (out / "model" / "weights.safetensors").stat().st_mtime_ns == weights
    assert "train" not in stages_of(out)
    assert "test" in stages_of(out)


@pytest.mark.usefixtures("undrawn")
def test_until_stops_after_a_stage_and_the_rest_follows_later(
    folder: Path, tmp_path: Path, run: Path
) -> None:
    assert localize(folder, tmp_path, *FORMULA, "until=snr") == 0
    assert stages_of(tmp_path) == ["calibrate", "background", "snr"]
    assert not (tmp_path / "localizations.csv").exists()
    assert localize(folder, tmp_path, *FORMULA) == 0
    assert stages_of(tmp_path)[:2] == ["train", "test"]
    # The same seeds, the same data: in two steps as in one.
    assert (tmp_path / "localizations.csv").read_bytes() == (run / "localizations.csv").read_bytes()


@pytest.mark.slow
def test_an_earlier_runs_network_is_taken(run: Path, folder: Path, tmp_path: Path, psf_file: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    range_nm = ["psf.z_min_nm=-300", "psf.z_max_nm=300"]
    assert localize(folder, first, "--psf", str(psf_file), *range_nm) == 0
    assert localize(folder, second, "--run", str(first)) == 0  # its depths are those of the run
    assert "snr" not in stages_of(second)
    assert (first / "localizations.csv").read_bytes() == (second / "localizations.csv").read_bytes()


@pytest.fixture(scope="module")
def psf_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("psf") / "psf.h5"
    psf = PSF_MODELS["astigmatism"](OPTICS)
    assert isinstance(psf, ScalarPSF)
    save_psf(psf, path, {})
    return path


@pytest.mark.usefixtures("undrawn")
def test_an_interrupted_training_goes_on(
    folder: Path, tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autods.training import LocalizationModule

    original = LocalizationModule.training_step

    def stop_at_three(self, batch, batch_idx):
        if self.trainer.global_step == 3:
            raise KeyboardInterrupt
        return original(self, batch, batch_idx)

    monkeypatch.setattr(LocalizationModule, "training_step", stop_at_three)
    assert localize(folder, tmp_path, *FORMULA) == 130
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "interrupted"
    assert (tmp_path / "training" / "checkpoints" / "last.ckpt").is_file()
    monkeypatch.setattr(LocalizationModule, "training_step", original)
    assert localize(folder, tmp_path, *FORMULA) == 0
    history = read_history(tmp_path / "training" / "metrics.csv")
    assert [row["step"] for row in history if "val/jaccard" in row] == [2, 4]
    assert (tmp_path / "localizations.csv").read_bytes() == (run / "localizations.csv").read_bytes()


@pytest.mark.usefixtures("undrawn")
def test_an_interrupted_localization_goes_on(
    folder: Path, tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autods.pipelines import autods3d

    monkeypatch.setattr(autods3d, "_BLOCK_FRAMES", 10)
    out, whole = tmp_path / "out", tmp_path / "whole"
    shutil.copytree(run, whole)
    (whole / "localizations.csv").unlink()
    shutil.copytree(whole, out)
    assert localize(folder, whole, *FORMULA) == 0
    original = autods3d._Run._localize_block

    def stop_in_the_second(self, localizer, scene, starts, start, tell):
        if start >= 10:
            raise KeyboardInterrupt
        return original(self, localizer, scene, starts, start, tell)

    monkeypatch.setattr(autods3d._Run, "_localize_block", stop_in_the_second)
    assert localize(folder, out, *FORMULA) == 130
    monkeypatch.setattr(autods3d._Run, "_localize_block", original)
    assert localize(folder, out, *FORMULA) == 0
    assert (out / "localizations.csv").read_bytes() == (whole / "localizations.csv").read_bytes()


@pytest.mark.slow
def test_two_processes_give_the_table_of_one(run: Path, tmp_path: Path) -> None:
    """Three blocks: one process gets two of them. The first one repeats the test of the network, too."""
    movie = tmp_path / "movie.tif"
    frames = np.random.default_rng(0).poisson(20, (140, 48, 48)) + 100
    frames[:, 20:23, 30:33] += np.arange(140)[:, None, None] % 7 * 200
    write_movie_tiff(frames.astype(np.uint16), movie, 100.0)
    outs = [tmp_path / "one", tmp_path / "two"]
    for out, more in zip(outs, ([], ["processes.per_machine=2"]), strict=True):
        words = ["localize3d", str(movie), "--run", str(run), "--out", str(out), *KNOWN, *FORMULA[1:], *more]
        words += ["decode.threshold=0.3", "decode.min_significance=0"]
        done = subprocess.run(
            [sys.executable, "-m", "autods.cli.main", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.count("localizations,") == 1
    one, two = ((out / "localizations.csv").read_bytes() for out in outs)
    assert one == two
    assert len(read_table(outs[0])) > 50
    assert "localize, 2 processes" in stages_of(outs[1])
    assert json.loads((outs[1] / "run.json").read_text())["status"] == "done"
    assert not (outs[1] / ".partial").exists()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--beads STACK"),
        (["psf=astigmatic_gaussian"], "psf.z_min_nm"),
        (["psf=astigmatic_gaussian", "psf.z_min_nm=300", "psf.z_max_nm=-300"], "not above"),
        ([*FORMULA, "until=nothing"], "until=nothing"),
        ([*FORMULA, "family=magic"], "family is 'magic'"),
        ([*FORMULA, "refine=twice"], "refine"),
        ([*FORMULA, "snr.region=0:0:500:500"], "snr.region"),
        ([*FORMULA, "roi=0:0:5:5"], "much smaller than the PSF"),
        ([*FORMULA, "snr.max_pixel_value=-5"], "snr.max_pixel_value is -5"),
        (["--psf", "nowhere.h5", "psf.z_min_nm=-300", "psf.z_max_nm=300"], "no such file"),
        (["--run", "nowhere"], "no such file or folder"),
    ],
)
def test_mistakes_are_one_line_with_exit_code_2(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert localize(folder, tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.usefixtures("undrawn")
def test_a_psf_of_another_pixel_is_resampled_and_that_is_said(
    folder: Path, tmp_path: Path, psf_file: Path
) -> None:
    other = ["optics.pixel_size_nm=120", "psf.z_min_nm=-300", "psf.z_max_nm=300", "until=background"]
    assert localize(folder, tmp_path, "--psf", str(psf_file), *other) == 0
    (warning,) = json.loads((tmp_path / "run.json").read_text())["warnings"]
    assert "resampled from pixels of 100 nm to 120 nm" in warning
