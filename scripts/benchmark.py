"""Measure: ``python scripts/benchmark.py suite=uniform``; ``-m`` sweeps."""

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from autods.cli.benchmark import equivalent_script, run
from autods.cli.sweeps import run_job
from autods.core.resources import conf_dir


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="benchmark")
def main(config: DictConfig) -> None:
    """Run one suite."""
    command = equivalent_script(list(HydraConfig.get().overrides.task))
    run_job(config, lambda composed: run(composed, command), sys.argv[:1])


if __name__ == "__main__":
    main()
