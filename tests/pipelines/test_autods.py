import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import yaml

import autods
from autods.core import UserError
from autods.io.tables import read_hdf5_table, read_text_table
from autods.pipelines import autods as pipeline
from autods.pipelines.autods import localize
from autods.pipelines.outputs import OUTPUT_FILES
from autods.pipelines.settings import CameraSettings, LocalizeSettings, OpticsSettings
from tests.pipelines.models import PIXEL_NM, simulate, write_zoo
from tests.pipelines.score import score

COLUMNS = ("frame", "x_nm", "y_nm", "photons", "background", "uncertainty_xy_nm", "confidence")


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return write_zoo(tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    frames, truth = simulate(np.random.default_rng(0), n_frames=30)
    path = tmp_path_factory.mktemp("movie") / "movie.tif"
    tifffile.imwrite(path, frames)
    return path, frames, truth


def wanted(zoo, **changes):
    return LocalizeSettings(
        **{
            "optics": OpticsSettings(pixel_size_nm=PIXEL_NM),
            "camera": CameraSettings(offset_adu=100.0, e_per_adu=0.5),
            "zoo": zoo,
            "device": "cpu",
            **changes,
        }
    )


def located(table):
    return np.column_stack([table.frame, table.x_nm, table.y_nm])


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in COLUMNS)


@pytest.fixture
def quick_report(monkeypatch):
    """Spare the drawing where the report is not what is tested."""
    monkeypatch.setattr(
        pipeline.outputs,
        "write_report",
        lambda record, *_, **__: (record.folder / "report.html").write_text(""),
    )


def small_blocks(monkeypatch):
    monkeypatch.setattr(pipeline, "block_length", lambda shape: 7)


def test_a_movie_becomes_a_complete_run_folder(zoo, movie, tmp_path):
    path, _, truth = movie
    out = tmp_path / "run"
    steps = []
    table = localize(
        path, wanted(zoo), out, progress=lambda *step: steps.append(step), command="autods localize"
    )
    jaccard, rmse_nm = score(truth, located(table))
    assert jaccard > 0.97
    assert rmse_nm < 20
    assert np.median(table.photons) == pytest.approx(3000, rel=0.05)
    assert np.median(table.background) == pytest.approx(30, rel=0.1)
    assert {*OUTPUT_FILES, "run.json", "log.txt", ".lock"} == {file.name for file in out.iterdir()}
    for read in (read_text_table(out / "localizations.csv"), read_hdf5_table(out / "localizations.hdf5")):
        assert np.array_equal(read.frame, table.frame)
        assert np.abs(read.x_nm - table.x_nm).max() < 0.02
    run = json.loads((out / "run.json").read_text())
    assert run["status"] == "done"
    assert run["results"]["localizations"] == len(table)
    assert run["weights"]
    assert ("localize", 30, 30) in steps
    with tifffile.TiffFile(out / "reconstruction.tif") as tif:
        assert tif.pages[0].shape == (480, 640)
        numerator, denominator = tif.pages[0].tags["XResolution"].value
        assert numerator / denominator == pytest.approx(100, rel=1e-3)  # pixels of 10 nm a um
        image = tif.asarray()
    brightest = np.unravel_index(image.argmax(), image.shape)
    assert np.hypot(*(np.column_stack([table.y_nm, table.x_nm]) / 10 - brightest).T).min() < 2
    plan = yaml.safe_load((out / "plan.yaml").read_text())
    assert plan["settings"]["optics.pixel_size_nm"] == {"value": "100 nm", "source": "given"}
    assert plan["patches"][0]["model"].startswith("level_")
    assert "<html" in (out / "report.html").read_text()[:500].lower()


def test_progress_is_told_within_a_block(zoo, movie):
    _, frames, _ = movie
    steps = []
    localize(frames, wanted(zoo, patch_um=2.5), progress=lambda *step: steps.append(step))
    done = [done for stage, done, _ in steps if stage == "localize"]
    assert len(set(done)) >= 4
    assert done == sorted(done)
    assert done[-1] == len(frames)


@pytest.mark.parametrize("scope", ["movie", "frame"])
@pytest.mark.parametrize("rule", ["average", "nearest", "fixed:level_2"])
def test_every_rule_and_scope(zoo, movie, rule, scope):
    _, frames, truth = movie
    table = localize(frames[:8], wanted(zoo, selection=rule, scope=scope))
    assert score(truth[truth[:, 0] < 8], located(table))[0] > 0.95


def test_a_region_and_a_range_come_out_in_full_coordinates(zoo, movie, tmp_path, quick_report):
    path, _, truth = movie
    y0, x0, y1, x1 = 8, 11, 47, 63
    out = tmp_path / "run"
    table = localize(path, wanted(zoo, frames=slice(5, 25), roi=(y0, x0, y1, x1)), out)
    x, y = truth[:, 1], truth[:, 2]
    inside = (truth[:, 0] >= 5) & (truth[:, 0] < 25) & (x > x0) & (x < x1) & (y > y0) & (y < y1)
    jaccard, _ = score(truth[inside], located(table))
    assert jaccard > 0.8  # emitters on the region's border are hard for the network made by analysis
    well_inside = inside & (x > x0 + 1) & (x < x1 - 1) & (y > y0 + 1) & (y < y1 - 1)
    _, rmse_nm = score(truth[well_inside], located(table))
    assert rmse_nm < 25
    assert table.frame.min() >= 5
    assert table.frame.max() < 25
    assert tifffile.imread(out / "reconstruction.tif").shape == (390, 520)
    assert yaml.safe_load((out / "plan.yaml").read_text())["patches"][0]["core_px"] == [y0, x0, y1, x1]


def test_camera_maps_follow_the_region(zoo, movie):
    _, frames, _ = movie
    offset = np.full(frames.shape[1:], 100.0, np.float32)
    offset[:, :20] = 70.0
    shifted = (frames - (100 - offset)).astype(np.uint16)
    settings = wanted(zoo, roi=(2, 5, 46, 60))
    plain = localize(frames, settings)
    camera = CameraSettings(offset_adu=offset, e_per_adu=0.5)
    mapped = localize(shifted, wanted(zoo, roi=(2, 5, 46, 60), camera=camera))
    near = mapped.x_nm > 2600
    assert np.median(mapped.photons[near]) == pytest.approx(np.median(plain.photons), rel=0.03)
    assert np.median(mapped.background[~near]) == pytest.approx(30, rel=0.25)


def test_noise_that_nobody_states_is_measured(zoo, tmp_path, quick_report):
    frames, _ = simulate(np.random.default_rng(1), n_frames=30)
    noisy = frames + np.random.default_rng(2).normal(0, 20, frames.shape)  # 10 electrons
    localize(noisy.astype(np.float32), wanted(zoo), tmp_path)
    stated = yaml.safe_load((tmp_path / "plan.yaml").read_text())["settings"]["camera.read_noise_e"]
    assert stated["source"] == "measured"
    assert float(stated["value"].split()[0]) == pytest.approx(10, rel=0.15)


def test_an_interrupted_run_resumes_to_the_same_result(zoo, movie, tmp_path, monkeypatch, quick_report):
    path, _, _ = movie
    small_blocks(monkeypatch)
    monkeypatch.setattr(
        "autods.pipelines.blocks._AT_ONCE", 1
    )  # else blocks behind the interrupted one may be done
    whole = localize(path, wanted(zoo), tmp_path / "whole")
    out = tmp_path / "run"

    def interrupt(stage, done, total):
        if stage == "localize" and done == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        localize(path, wanted(zoo), out, progress=interrupt)
    assert json.loads((out / "run.json").read_text())["status"] == "interrupted"
    assert not (out / "localizations.csv").exists()
    calls = []
    original = pipeline.BlockLocalizer.__call__
    monkeypatch.setattr(
        pipeline.BlockLocalizer,
        "__call__",
        lambda self, frames, *around: calls.append(len(frames)) or original(self, frames, *around),
    )
    resumed = localize(path, wanted(zoo), out)
    assert calls == [7, 7, 2]
    assert same(whole, resumed)
    for name in ("localizations.csv", "plan.yaml", "profile.json"):
        assert (out / name).read_text() == (tmp_path / "whole" / name).read_text()
    assert not (out / ".partial").exists()


def test_blocks_side_by_side_give_the_same_table(zoo, movie, monkeypatch, request):
    _, frames, _ = movie
    small_blocks(monkeypatch)
    # What is set while blocks are computed is put back: not to three.
    put_back = functools.partial(torch.set_num_threads, torch.get_num_threads())
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    request.addfinalizer(put_back)
    steps = []
    three = localize(frames, wanted(zoo), progress=lambda stage, done, _: steps.append((stage, done)))
    monkeypatch.setattr("autods.pipelines.blocks._AT_ONCE", 1)
    assert same(localize(frames, wanted(zoo)), three)
    done = [n for stage, n in steps if stage == "localize"]
    assert done == sorted(done)
    assert done[-1] == len(frames)


def test_a_finished_run_is_not_repeated_and_another_setting_is(zoo, movie, tmp_path, quick_report):
    path, _, _ = movie
    first = localize(path, wanted(zoo), tmp_path)
    stamp = (tmp_path / "localizations.csv").stat().st_mtime_ns
    again = localize(path, wanted(zoo), tmp_path)
    assert (tmp_path / "localizations.csv").stat().st_mtime_ns == stamp
    assert np.abs(again.x_nm - first.x_nm).max() < 0.02
    localize(path, wanted(zoo, threshold=0.5), tmp_path)
    assert (tmp_path / "localizations.csv").stat().st_mtime_ns != stamp


def test_block_length_does_not_change_the_result(zoo, movie, monkeypatch):
    _, frames, _ = movie
    whole = localize(frames, wanted(zoo))
    small_blocks(monkeypatch)
    blocks = localize(frames, wanted(zoo))
    assert len(whole) == len(blocks)
    assert np.abs(whole.x_nm - blocks.x_nm).max() < 0.01
    assert whole.photons == pytest.approx(blocks.photons, rel=1e-3, abs=0.5)


def test_filters(zoo, movie):
    _, frames, _ = movie
    whole = localize(frames, wanted(zoo))
    limit = float(np.median(whole.uncertainty_xy_nm))
    sharp = localize(frames, wanted(zoo, max_uncertainty_nm=limit))
    assert len(sharp) == (whole.uncertainty_xy_nm <= limit).sum()
    sure = float(np.median(whole.confidence))
    assert 0 < len(localize(frames, wanted(zoo, threshold=sure))) < len(whole)


def test_a_single_frame_works_with_a_warning(zoo, movie, tmp_path, quick_report):
    _, frames, truth = movie
    table = localize(frames[0], wanted(zoo), tmp_path)
    assert score(truth[truth[:, 0] == 0], located(table))[0] > 0.8
    assert any("single frame" in line for line in json.loads((tmp_path / "run.json").read_text())["warnings"])


def test_a_movie_without_emitters_gives_empty_tables(zoo, tmp_path):
    noise = np.random.default_rng(4).poisson(30, (10, 32, 32)).astype(np.uint16)
    table = localize(noise, wanted(zoo), tmp_path)
    assert len(table) < 3
    assert all((tmp_path / name).exists() for name in OUTPUT_FILES)


@pytest.mark.parametrize(
    ("frames", "changes", "message"),
    [
        (np.full((5, 20, 20), 7, np.uint16), {}, "constant"),
        (np.full((5, 20, 20), np.nan, np.float32), {}, "NaN"),
        (np.zeros((5, 3, 20), np.uint16), {}, "too small"),
        (None, {"optics": OpticsSettings()}, r"optics\.pixel_size_nm"),
        (None, {"selection": "fixed:none"}, "no such model"),
        (None, {"selection": "best"}, "selection=best"),
        (None, {"patch_um": 1.0}, r"tiling\.patch_um"),
        (None, {"roi": (0, 0, 100, 10)}, "roi"),
        (None, {"frames": slice(20, 99)}, "frames"),
        (None, {"device": "abacus"}, "device=abacus"),
        (None, {"camera": CameraSettings(offset_adu=np.zeros((4, 4), np.float32))}, r"camera\.offset_adu"),
        (None, {"zoo": Path("/nowhere")}, "no model"),
    ],
)
def test_bad_input_is_one_clear_line_and_nothing_half_written(zoo, movie, tmp_path, frames, changes, message):
    frames = movie[1] if frames is None else frames
    with pytest.raises(UserError, match=message) as caught:
        localize(frames, wanted(**{"zoo": zoo, **changes}), tmp_path / "run")
    assert "\n" not in str(caught.value)
    written = {file.name for file in (tmp_path / "run").glob("*")}
    assert written <= {"run.json", "log.txt", ".lock"}


def test_corrupted_weights_are_refused(movie, tmp_path):
    zoo = write_zoo(tmp_path / "zoo")
    weights = zoo / "level_1" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(UserError, match="corrupted"):
        localize(movie[1], wanted(zoo))


def test_the_python_interface_is_the_same_run(zoo, movie):
    _, frames, _ = movie
    plain = localize(frames, wanted(zoo))
    table = autods.localize(
        frames, pixel_size_nm=PIXEL_NM, offset_adu=100.0, e_per_adu=0.5, zoo=str(zoo), device="cpu"
    )
    assert same(plain, table)


_MEMORY_SCRIPT = """
import resource, sys
from pathlib import Path
from autods.pipelines.autods import localize
from autods.pipelines.settings import LocalizeSettings, OpticsSettings
localize(sys.argv[1], LocalizeSettings(optics=OpticsSettings(100.0), zoo=Path(sys.argv[2]), device="cpu",
         frames=slice(0, int(sys.argv[4]))), Path(sys.argv[3]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_memory_stays_bounded_for_a_movie_of_4_gb(zoo, tmp_path):
    """512 x 512 frames, sparse on disk: only the first ones hold emitters."""
    path, n_frames = tmp_path / "long.tif", 8192
    frames, _ = simulate(np.random.default_rng(0), 8, (512, 512), 40)
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        tif.write(shape=(n_frames, 512, 512), dtype=np.uint16, data=None, contiguous=True)
    page = np.memmap(
        path, np.uint16, "r+", tifffile.TiffFile(path).pages[0].dataoffsets[0], (n_frames, 512, 512)
    )
    page[::1024] = frames
    page.flush()
    del page
    assert path.stat().st_size > 4e9
    peaks = []
    for name, count in (("short", 256), ("long", n_frames)):
        run = subprocess.run(
            [sys.executable, "-c", _MEMORY_SCRIPT, path, zoo, tmp_path / name, str(count)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        peaks.append(int(run.stdout.split()[-1]))
    assert peaks[1] < 3000
    assert peaks[1] < 1.2 * peaks[0] + 100
