"""Build the pre-trained zoo, resumable: ``scripts/build_zoo.py``; ``score_only=true`` only scores it."""

import hydra
from omegaconf import DictConfig

from autods.cli.train import build_zoo, score_zoo
from autods.core.resources import conf_dir


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="zoo")
def main(config: DictConfig) -> None:
    """Train what is missing, unless only the scores are wanted."""
    if config.score_only:
        score_zoo(config)
    else:
        build_zoo(config)


if __name__ == "__main__":
    main()
