"""Train a localizer: ``python scripts/train.py experiment=zoo/diff_1``; ``-m`` sweeps."""

import sys

import hydra
from omegaconf import DictConfig

from autods.cli.sweeps import run_job
from autods.cli.train import run
from autods.core.resources import conf_dir


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")
def main(config: DictConfig) -> float:
    """Train once; the returned score is what Hydra's sweepers maximise."""
    return float(run_job(config, run, sys.argv[:1]))


if __name__ == "__main__":
    main()
