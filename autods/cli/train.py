"""``autods train``: any training that the configuration can compose."""

from __future__ import annotations

from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from autods.cli.arguments import Arguments
from autods.io.atomic import atomic_path


def command(arguments: Arguments) -> int:
    """Run ``autods train``."""
    from autods.cli.research import run_hydra

    return run_hydra(arguments, run)


def run(config: DictConfig) -> float:
    """Train, export the model, and return its Jaccard index on the fixed test set.

    Parameters
    ----------
    config
        Composition of ``conf/train.yaml``.
    """
    import pytorch_lightning as pl

    from autods.training.export import evaluate_module, export_model
    from autods.training.fit import fit, warm_start

    pl.seed_everything(config.seed, verbose=False)
    module = instantiate(config.module, _convert_="all")
    data = instantiate(config.data, _convert_="all")
    if config.warm_start is not None:
        warm_start(module.network, Path(config.warm_start))
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / "config.yaml") as temporary:
        OmegaConf.save(config, temporary, resolve=True)
    fit(module, data, out, **OmegaConf.to_container(config.trainer))  # type: ignore[arg-type]
    if config.trainer.fast_dev_run:
        return evaluate_module(module, data)["jaccard"]
    folder = out / "model" if config.models is None else Path(config.models) / config.name
    settings = OmegaConf.to_container(config, resolve=True)
    training = {key: settings[key] for key in ("conditions", "trainer", "seed", "warm_start")}  # type: ignore[index,call-overload]
    card = export_model(
        module, data, data.sampler, config.name, folder, description=config.description, training=training
    )
    return card.metrics["jaccard"]
