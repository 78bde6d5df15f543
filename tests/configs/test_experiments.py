"""Every 2D experiment is composed, instantiated and trained for one batch; sweeps run through the script.

Those of 3D training are in test_training3d.py, on small volumes.
"""

import shutil
import subprocess
import sys

import pytest
from hydra.utils import instantiate

from autods.cli.train import run
from autods.cli.zoo import build_zoo, with_own_zoo
from autods.configuration.compose import compose_checked
from autods.core import UserError
from autods.core.resources import conf_dir, models_dir
from autods.zoo import list_models, load_card

EXPERIMENTS = sorted(
    str(path.relative_to(conf_dir() / "experiment").with_suffix(""))
    for path in (conf_dir() / "experiment" / "zoo").glob("*.yaml")
)
SMALL = [
    "trainer.fast_dev_run=true",
    "trainer.accelerator=cpu",
    "trainer.progress_bar=false",
    "data.batch_size=2",
    "data.validation_batches=1",
]


CONDITIONS = ("diff_1", "diff_2", "diff_3", "diff_4", "general")


@pytest.mark.parametrize(
    ("experiment", "more"),
    [
        *((experiment, []) for experiment in EXPERIMENTS),
        *(("zoo/heatmap", [f"conditions={name}"]) for name in CONDITIONS),
        *(("zoo/mixture", [f"conditions={name}"]) for name in CONDITIONS),
        ("zoo/mixture", ["data.context=3", "data.on_frames=3"]),
    ],
)
def test_every_experiment_trains_one_batch(experiment, more, tmp_path):
    # The bank of aberrated PSFs takes seconds to make; one test below makes it.
    words = [f"experiment={experiment}", *more, f"out={tmp_path}", "light=gaussian", *SMALL]
    config = compose_checked("train", words)
    assert 0 <= run(config) <= 1
    assert (tmp_path / "config.yaml").is_file()


@pytest.mark.parametrize("network", ["deepstorm", "subpixel"])
@pytest.mark.parametrize("upsampling", [4, 8])
def test_networks_and_upsamplings_can_be_swept(network, upsampling, tmp_path):
    words = [f"network={network}", f"representation.args.upsampling={upsampling}", "light=gaussian"]
    assert 0 <= run(compose_checked("train", [*words, f"out={tmp_path}", *SMALL])) <= 1


def test_the_mixed_light_can_be_made():
    config = compose_checked("train", ["experiment=zoo/heatmap", "conditions=diff_4"])
    data = instantiate(config.data, _convert_="all")
    assert len(data.simulator.renderers) == 2
    assert len(data.simulator.cameras) == 3
    assert data.sampler.density_per_um2.centre == 2.0


@pytest.mark.slow
def test_a_sweep_runs_each_combination(tmp_path):
    words = [*SMALL, "light=gaussian", "seed=1,2", f"out={tmp_path}/${{seed}}"]
    command = [
        sys.executable,
        "-m",
        "autods.cli.main",
        "train",
        "-m",
        *words,
        f"hydra.sweep.dir={tmp_path}/sweep",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {path.parent.name for path in tmp_path.glob("*/config.yaml")} == {"1", "2"}


def test_some_models_of_the_zoo_can_be_built_by_name(tmp_path):
    models = tmp_path / "models"
    shutil.copytree(models_dir() / "mixture_general", models / "mixture_general")
    words = [f"models={models}", f"out={tmp_path}/runs", "only=[mixture_diff_1]", "budget.specialist_steps=2"]
    words += ["budget.size_px=16", "budget.batch_size=2", "budget.batches_per_epoch=2"]
    config = compose_checked("zoo", [*words, "budget.validation_batches=1"])
    config.overrides += ["light=gaussian", "trainer.accelerator=cpu", "trainer.progress_bar=false"]
    build_zoo(config)
    assert list_models(models) == ["mixture_diff_1", "mixture_general"]
    assert load_card("mixture_diff_1", models).training["max_steps"] == 2
    assert load_card("mixture_diff_1", models).density_per_um2.mean == 0.5
    config.only = ["mixture_diff_7"]
    with pytest.raises(UserError, match="'mixture_diff_7' is no model of the zoo"):
        build_zoo(config)


@pytest.mark.parametrize(
    "words", [[], ["budget=gpu", "budget.general_start=null", "budget.general_minutes=null"]]
)
def test_a_null_of_the_budget_means_none(words, tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr("autods.cli.zoo.train", lambda wanted: trained.append(wanted) or 1.0)
    build_zoo(compose_checked("zoo", [f"models={tmp_path}", "only=[mixture_general]", *words]))
    (wanted,) = trained
    assert (wanted.warm_start, wanted.trainer.max_minutes) == (None, None)


OWN_ZOO = """
models: {models}
out: {out}
overrides: [light=gaussian, trainer.max_steps=2, data.size_px=16, data.batch_size=2, data.batches_per_epoch=2,
  data.validation_batches=1, network.args.width=8, trainer.accelerator=cpu, trainer.progress_bar=false]
sweep: [experiment=zoo/mixture, generalist=false, "conditions=diff_1,diff_4"]
entries:
  - {{name: mine, settings: [experiment=zoo/mixture]}}
"""


def test_a_zoo_of_ones_own_is_built_scored_chosen_from_and_checked(tmp_path, capsys):
    from autods.cli.main import main

    file, models = tmp_path / "my_zoo.yaml", tmp_path / "models"
    file.write_text(OWN_ZOO.format(models=models, out=tmp_path / "runs"))
    assert main(["zoo", "build", f"zoo={file}"]) == 0
    assert list_models(models) == ["diff_1", "diff_4", "mine"]
    before = load_card("diff_4", models)
    assert (before.snr.mean, before.generalist, load_card("mine", models).generalist) == (2.0, False, True)
    assert main(["zoo", "score", f"zoo={file}"]) == 0
    assert load_card("diff_4", models).metrics == pytest.approx(before.metrics, abs=1e-3)
    capsys.readouterr()
    assert main(["zoo", "build", f"zoo={file}"]) == 0
    assert capsys.readouterr().err.count("there already") == 3
    assert main(["doctor", f"zoo={models}"]) == 0
    assert "mine: mixture" in capsys.readouterr().out
    shown = tmp_path / "demo"
    words = ["simulate.n_frames=4", "simulate.size_px=32", f"zoo={models}", "selection=average"]
    assert main(["demo", *words, "--out", str(shown)]) == 0
    assert "average level" in next(shown.rglob("plan.yaml")).read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("entries: []", "say models: FOLDER"),
        ("models: m\nmodel: x", "unknown key model"),
        ("[", "no YAML file"),
    ],
)
def test_a_file_of_a_zoo_that_cannot_be_meant_is_refused(text, said, tmp_path):
    (tmp_path / "zoo.yaml").write_text(text)
    with pytest.raises(UserError, match=said):
        with_own_zoo([f"zoo={tmp_path / 'zoo.yaml'}"])


def test_what_is_given_beside_the_file_of_a_zoo_wins(tmp_path):
    (tmp_path / "mine.yaml").write_text("models: mine\nentries: []\n")
    usual = with_own_zoo([f"zoo={tmp_path / 'mine.yaml'}"])
    assert (usual.models, usual.out) == ("mine", "runs/mine")
    given = with_own_zoo([f"zoo={tmp_path / 'mine.yaml'}", "models=other", "out=elsewhere"])
    assert (given.models, given.out) == ("other", "elsewhere")
