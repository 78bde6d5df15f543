"""3D networks compared under the same conditions; what another focal plane does."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from autods.cli.main import main
from autods.core import Camera, LocalizationTable, OpticalSystem, UserError
from autods.optics.registry import astigmatic_gaussian_psf
from autods.simulation import VolumeConditions
from benchmarks.volumes import Tested, Variant, VolumeComparison, VolumeTraining
from tests.benchmarks.test_suites import rows_of

CONDITIONS = VolumeConditions(
    -300.0, 300.0, (2500.0, 3000.0), 100.0, (1, 2), edge_px=4.0, background=(5.0, 10.0), noise_std=(1.0, 1.0)
)
TINY = VolumeTraining(
    steps=2, size_px=24, batch_size=2, n_slices=5, width=8, batches_per_epoch=2, validation_batches=1
)


def comparison(**training):
    psf = astigmatic_gaussian_psf(OpticalSystem(100.0))
    length = dataclasses.replace(TINY, **training)
    return VolumeComparison(psf, CONDITIONS, length, 100.0, 500.0, torch.device("cpu"))


def run(out, suite, *settings):
    words = [f"suite=fast/{suite}", "device=cpu", *settings]
    assert main(["benchmark", *words, "--out", str(out)]) == 0
    return rows_of(out / "results.csv")


def test_three_networks_are_compared(tmp_path):
    rows = run(tmp_path, "ds3d_compare")
    networks = ["AutoDS3D", "DS3D x4", "DS3D x1"]
    tests = [(row["network"], row["snr"], row["emitters"]) for row in rows]
    assert tests == list(itertools.product(networks, ["high", "low"], "12"))
    times = {row["network"]: row for row in rows_of(tmp_path / "times.csv")}
    assert list(times) == networks
    assert {row["steps"] for row in times.values()} == {"2"}
    for column in ("generation_s", "training_s", "inference_ms_per_frame", "postprocessing_ms_per_frame"):
        assert all(float(row[column]) > 0 for row in times.values()), column
    assert len(rows_of(tmp_path / "groups.csv")) == 3 * 2 * 2 * 2
    assert {"boxes.png", "boxes.pdf", "radar.png", "radar.pdf"} <= {path.name for path in tmp_path.iterdir()}


def test_density_and_signal_in_3d(tmp_path):
    rows = run(tmp_path, "snr3d_density", "suite.variants=[mixture]")
    assert [(row["emitters"], row["photons"]) for row in rows] == [("1", "2000"), ("2", "2000")]
    assert float(rows[1]["density_per_um2"]) == pytest.approx(2 * float(rows[0]["density_per_um2"]), rel=1e-3)
    with pytest.raises(AssertionError):
        run(tmp_path, "snr3d_density", "suite.variants=[other]")


def test_another_focal_plane_shifts_the_depths_and_its_own_does_not(tmp_path):
    rows = run(tmp_path, "nfp")
    shift = {(row["psf"], float(row["offset_nm"])): float(row["shift_nm"]) for row in rows}
    for psf in ("astigmatism", "tetrapod"):
        assert shift[psf, 0.0] == pytest.approx(0, abs=10)
        assert shift[psf, -200.0] == pytest.approx(-shift[psf, 200.0], abs=40)
        assert 100 < abs(shift[psf, 200.0]) < 250


def test_tests_are_the_same_for_every_network_and_trainings_go_on(tmp_path):
    lab = comparison()
    one = lab.train(Variant("binary_voxels"), tmp_path)
    again = lab.train(Variant("binary_voxels"), tmp_path)
    assert one.steps == again.steps == 2
    assert again.generation_s + again.training_s > one.training_s  # the seconds of both calls
    assert len(list(tmp_path.iterdir())) == 1
    other = comparison(steps=3).train(Variant("binary_voxels"), tmp_path)
    assert other.steps == 3
    assert len(list(tmp_path.iterdir())) == 2
    tests = [lab.test(trained, CONDITIONS, 5, 24, Camera()) for trained in (one, other)]
    assert np.array_equal(tests[0].truth.x_nm, tests[1].truth.x_nm)
    assert tests[0].truth.frame.max() == 4
    assert tests[0].inference_s > 0


def test_scores_of_a_group_count_its_frames_only():
    truth = LocalizationTable.build(
        np.array([0, 1]), np.array([500.0, 500.0]), np.array([500.0, 500.0]), z_nm=np.zeros(2)
    )
    found = LocalizationTable.build(
        np.array([1]), np.array([510.0]), np.array([500.0]), z_nm=np.array([30.0])
    )
    tested = Tested(truth, found, 1.0, 1.0, 1.0)
    assert tested.score(100, 500).jaccard == 0.5
    assert tested.score(100, 500, (0, 1)).jaccard == 0
    second = tested.score(100, 500, (1, 2))
    assert (second.jaccard, second.rmse_axial_nm) == (1, pytest.approx(30))


def test_unknown_networks_are_named():
    from benchmarks.ds3d_compare import Ds3dCompare

    with pytest.raises(UserError, match="'best' is not known: use AutoDS3D"):
        Ds3dCompare(comparison().psf, CONDITIONS, TINY, variants=["best"]).run()
