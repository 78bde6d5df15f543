"""The suite `conditions`: its movies are what they are said to be, its scores measure what they name."""

import dataclasses

import numpy as np
import pytest
import torch

from autods.core import LocalizationTable
from benchmarks.condition_fields import Conditions, condition_field, flat_counterparts
from benchmarks.condition_lines import EMCCD, all_lines, photons_for
from benchmarks.condition_scores import lateral_bounds, misses, score_field
from tests.benchmarks.test_suites import run, zoo  # noqa: F401


def field_of(**settings):
    conditions = Conditions(**{"n_frames": 20, "size_px": 48, **settings})
    return conditions, condition_field(conditions, torch.Generator().manual_seed(0))


def test_lines_are_all_different_and_can_be_simulated():
    lines = all_lines()
    names = [f"{line.group}: {line.name}" for line in lines]
    assert len(set(names)) == len(names)
    for line in lines:
        conditions = dataclasses.replace(line.conditions, n_frames=2, size_px=48)
        field = condition_field(conditions, torch.Generator().manual_seed(0))
        assert field.frames.shape == (2, 48, 48)
        assert (len(field.truth) > 0) == (conditions.emitters != "none"), line.name


def test_peak_over_noise_is_what_was_asked_for():
    sigma, level = 1.7, 50.0
    peak = photons_for(8.0, level, sigma) / (2 * np.pi * sigma**2)
    assert peak / np.sqrt(level) == pytest.approx(8.0)


def test_an_emccd_is_compared_with_half_the_light():
    conditions, field = field_of(camera=EMCCD, background=40.0)
    (ideal,) = flat_counterparts(conditions, field)
    assert ideal.photons == pytest.approx(1000 * 0.9 / 2)
    assert ideal.background == pytest.approx((40 * 0.9 + 0.3**2 / 2) / 2, rel=0.03)


def test_the_bound_is_reached_by_its_own_errors():
    conditions, field = field_of(n_frames=200)
    bounds = lateral_bounds(field, conditions)
    generator = np.random.default_rng(0)
    std = bounds / np.sqrt(2)
    x, y = (axis + std * generator.standard_normal(len(std)) for axis in (field.truth.x_nm, field.truth.y_nm))
    found = LocalizationTable.build(
        field.truth.frame, x, y, photons=1.1 * field.truth.photons, uncertainty_xy_nm=std
    )
    summary = score_field(field, found, conditions, 200.0, 0.0).summary()
    assert (summary["precision"], summary["recall"]) == (1, 1)
    for name in ("rmse_over_bound", "pull", "pull_mad"):
        assert summary[name] == pytest.approx(1, abs=0.06), name
    assert summary["photon_bias"] == pytest.approx(0.1)
    assert misses(summary, summary, isolated=True) == "photons"
    worse = {**summary, "recall": 0.9, "pull": 0.5, "photon_bias": float("nan")}
    assert misses(worse, summary, isolated=True) == "recall, pull, photons"


def test_emitters_in_invalid_pixels_are_not_asked_for_but_others_count():
    line = next(line for line in all_lines() if line.name == "saturated area, 0.5 per um2")
    conditions = dataclasses.replace(line.conditions, n_frames=20)
    field = condition_field(conditions, torch.Generator().manual_seed(0))
    x, y = field.truth.x_nm / 100, field.truth.y_nm / 100
    inside = (x > 22) & (x < 42) & (y > 22) & (y < 42)
    assert inside.any()
    assert not field.judged[inside].any()
    assert field.judged[(x < 19) | (y < 19)].all()
    everything = score_field(field, field.truth, conditions, 200.0, 0.0)
    assert everything.n_truth == everything.n_found == field.judged.sum()


def test_conditions(zoo, tmp_path, capsys):  # noqa: F811
    only = "suite.only=['photons: 1000 photons','border of zeros, isolated','empty: flat']"
    rows, page = run(zoo, tmp_path, "fast/conditions", only, "suite.max_frames=2")
    assert [row["group"] for row in rows] == ["photons", "disturbed", "empty", "unknown camera"]
    assert "lines hold all targets" in page
    assert "group photons" in capsys.readouterr().err
