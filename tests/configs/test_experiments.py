"""Every 2D experiment is composed, instantiated and trained for one batch; sweeps run through the script.

Those of 3D training are in test_training3d.py, on small volumes.
"""

import shutil
import subprocess
import sys

import pytest
from hydra.utils import instantiate

from autods.cli.compose import compose_checked
from autods.cli.train import run
from autods.cli.zoo import build_zoo
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


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_trains_one_batch(experiment, tmp_path):
    # The bank of aberrated PSFs takes seconds to make; one test below makes it.
    words = [f"experiment={experiment}", f"out={tmp_path}", "light=gaussian", *SMALL]
    config = compose_checked("train", words)
    assert 0 <= run(config) <= 1
    assert (tmp_path / "config.yaml").is_file()


@pytest.mark.parametrize("network", ["deepstorm", "subpixel"])
@pytest.mark.parametrize("upsampling", [4, 8])
def test_networks_and_upsamplings_can_be_swept(network, upsampling, tmp_path):
    words = [f"network={network}", f"representation.args.upsampling={upsampling}", "light=gaussian"]
    assert 0 <= run(compose_checked("train", [*words, f"out={tmp_path}", *SMALL])) <= 1


def test_the_mixed_light_can_be_made():
    config = compose_checked("train", ["experiment=zoo/diff_4"])
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
    config.only = ["mixture_diff_7"]
    with pytest.raises(UserError, match="'mixture_diff_7' is no model of the zoo"):
        build_zoo(config)
