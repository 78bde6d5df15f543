"""Every suite's small version, through the command line; the measures against their definitions."""

import csv

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from autods.cli.main import main
from autods.configuration.compose import compose_checked
from autods.core import LocalizationTable, UserError
from autods.core.resources import config_dirs
from benchmarks.command import run as run_config
from benchmarks.fields import UniformConditions, uniform_field
from benchmarks.measure import measured
from benchmarks.movies2d import Movies2d, movie_specs, peer_rows
from benchmarks.picasso import run_picasso
from benchmarks.throughput import exponents
from benchmarks.uniform import Uniform, pull
from tests.data import shared
from tests.pipelines.models import write_zoo

SUITES = sorted(path.stem for path in (config_dirs("benchmark")[0] / "suite").glob("*.yaml"))
FAST = sorted(path.stem for path in (config_dirs("benchmark")[0] / "suite" / "fast").glob("*.yaml"))


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return write_zoo(tmp_path_factory.mktemp("zoo"))


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def run(zoo, out, suite, *settings):
    words = [f"suite={suite}", f"zoo={zoo}", "device=cpu", *settings]
    assert main(["benchmark", *words, "--out", str(out)]) == 0
    page = (out / "results.md").read_text()
    assert f"suite={suite}" in page
    assert "commit" in page
    return rows_of(out / "results.csv"), page


def test_every_suite_has_a_small_version():
    assert set(FAST) == set(SUITES) - {"readme"}


@pytest.mark.parametrize("name", [*SUITES, *(f"fast/{name}" for name in FAST)])
def test_every_suite_composes(name):
    suite = compose_checked("benchmark", [f"suite={name}", "zoo=somewhere"]).suite
    assert suite.name == name.removeprefix("fast/")
    for settings in suite.get("suites", {"": suite}).values():
        assert settings._target_.startswith("benchmarks.")
        assert settings.get("zoo", "somewhere") == "somewhere"


def test_uniform(zoo, tmp_path, capsys):
    rows, page = run(zoo, tmp_path, "fast/uniform")
    assert "mixture is left out" in page
    assert "mixture is left out" in capsys.readouterr().out
    assert [row["density_per_um2"] for row in rows] == ["isolated", "0.5"]
    isolated = rows[0]
    assert float(isolated["recall"]) > 0.9
    assert float(isolated["rmse_over_crlb"]) > 0.95
    assert (tmp_path / "against_density.png").stat().st_size > 1000


def test_the_bound_is_that_of_the_theory():
    # Thompson, Larson & Webb, Biophys. J. 82, 2775 (2002), without background: sigma / sqrt(N) per axis; the
    # pixels of one sigma cost 1/12 of the variance.
    bright = Uniform(photons=1e4, background=1e-6)._bound_nm()
    assert bright == pytest.approx(2**0.5 * 100 * (1 + 1 / 12) ** 0.5 / 100, rel=0.02)
    assert Uniform(photons=1e4, background=50.0)._bound_nm() > 1.1 * bright


def test_pulls_have_the_width_of_the_errors():
    rng = np.random.default_rng(0)
    n = 4000
    x, y = rng.uniform(0, 1e6, (2, n))
    sigma = rng.uniform(5, 20, n)
    truth = LocalizationTable.build(np.arange(n), x, y)
    found = LocalizationTable.build(
        np.arange(n),
        x + 2 * sigma * rng.normal(size=n),
        y + 2 * sigma * rng.normal(size=n),
        uncertainty_xy_nm=np.where(np.arange(n) < 10, np.inf, sigma),
    )
    pulls = pull(truth, found, 200.0)
    assert len(pulls) == pytest.approx(2 * (n - 10), abs=4)
    assert pulls.std() == pytest.approx(2, rel=0.03)


def test_speed(zoo, tmp_path):
    rows, page = run(zoo, tmp_path, "fast/speed")
    assert [row["network"] for row in rows] == ["shipped: subpixel", "paper's: deepstorm"]
    assert all(float(row["seconds"]) > 0 and float(row["peak_memory_mb"]) > 50 for row in rows)
    assert "lower limit" in page
    assert float(rows_of(tmp_path / "simulation.csv")[0]["patches_per_s"]) > 0


def test_follow(zoo, tmp_path):
    rows, _ = run(zoo, tmp_path, "fast/follow")
    assert float(rows[0]["capacity_frames_per_s"]) > 0
    assert 0 < float(rows[0]["last_delay_s"]) <= float(rows[0]["longest_delay_s"]) < 60


def test_memory_and_time_are_those_of_the_work():
    with measured() as idle:
        pass
    with measured() as work:
        block = np.ones(25_000_000)
        total = sum(float((block * factor).sum()) for factor in range(1, 4))
    assert total > 0
    assert work.peak_mb - idle.peak_mb > 150
    assert work.cpu_seconds > 0
    assert work.seconds > idle.seconds


def test_movies(zoo, tmp_path):
    data = shared("storm_analysis/2d.tif").parents[1]
    rows, page = run(zoo, tmp_path, "fast/movies2d", f"suite.data={data}", "suite.contenders=[heatmap]")
    assert [row["movie"] for row in rows] == ["storm_analysis/2d"]
    assert float(rows[0]["jaccard"]) > 0.2
    assert "one default setting" in page


def test_movies_that_are_absent_are_named(zoo, tmp_path):
    with pytest.raises(UserError, match=r"nairr/2dgauss_ld.*suite\.data=DIR"):
        Movies2d(tmp_path, zoo=zoo).run()


def test_every_peer_belongs_to_a_movie():
    names = {spec.name for spec in movie_specs()}
    assert {row["movie"] for row in peer_rows()} <= names
    assert all(0 < row["jaccard"] < 1 < row["rmse_nm"] for row in peer_rows())


def test_of_several_suites_those_that_lack_something_are_left_out(zoo, tmp_path, capsys):
    fast = ["suite.suites.uniform.n_frames=3", "suite.suites.uniform.size_px=32"]
    fast += ["suite.suites.uniform.densities_per_um2=[0.5]", f"suite.suites.movies2d.data={tmp_path}"]
    out = tmp_path / "out"
    config = compose_checked("benchmark", ["suite=readme", f"zoo={zoo}", "device=cpu", f"out={out}", *fast])
    OmegaConf.set_struct(config, False)
    for name in ("speed", "estimation", "heterogeneous"):
        del config.suite.suites[name]
    run_config(config, "the command")
    assert "movies2d is left out" in capsys.readouterr().out
    assert (out / "uniform" / "results.md").exists()
    with pytest.raises(UserError, match="none of the movies"):
        run_config(compose_checked("benchmark", [f"zoo={zoo}", f"suite.data={tmp_path}", f"out={out}"]), "")


@pytest.mark.slow
def test_estimation(zoo, tmp_path):
    rows, _ = run(zoo, tmp_path, "fast/estimation")
    error = {row["estimator"]: float(row["error_percent"]) for row in rows}
    assert error["density_corrected"] < error["density_published"]


@pytest.mark.parametrize(
    ("python", "message"), [("/nowhere/python", "does not start"), ("false", "picassosr")]
)
def test_a_python_without_picasso_is_told_in_a_line(python, message):
    conditions = UniformConditions(0.5, n_frames=2, size_px=16)
    field = uniform_field(conditions, torch.Generator().manual_seed(0))
    with pytest.raises(UserError, match=message):
        run_picasso(field, python, 100)


@pytest.mark.slow
def test_throughput(zoo, tmp_path):
    (row,), _ = run(zoo, tmp_path, "fast/throughput")
    assert float(row["stage_fps"]) >= float(row["command_fps"]) > 0
    shares = [float(row[f"{name}_share"]) for name in ("measure", "localize", "other")]
    assert sum(shares) == pytest.approx(1, abs=0.01)
    assert float(rows_of(tmp_path / "limits.csv")[0]["network_s_per_frame_512"]) > 0


def test_exponents_of_costs_that_are_known():
    """A cost of 1 / fps in proportion to the pixels, and to the square root of the density."""
    rows = [
        {"program": "autods", "cores": 1, "size_px": side, "density_per_um2": density}
        | {"stage_fps": 1 / (side**2 * density**0.5)}
        for side in (64, 128)
        for density in (0.1, 1.0, 3.0)
    ]
    found = {(row["cost against"], round(row["exponent"], 6)) for row in exponents(rows)}
    assert found == {("density", 0.5), ("pixels", 1.0)}
