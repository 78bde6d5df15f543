"""Measure: ``python scripts/benchmark.py suite=uniform``; ``-m`` sweeps."""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from autods.cli.benchmark import equivalent_script, run
from autods.core.resources import conf_dir


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="benchmark")
def main(config: DictConfig) -> None:
    """Run one suite."""
    run(config, equivalent_script(list(HydraConfig.get().overrides.task)))


if __name__ == "__main__":
    main()
