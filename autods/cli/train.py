"""``autods train``: any training that the configuration can compose."""

from __future__ import annotations

import logging
import math
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from autods.cli.arguments import Arguments, UsageError
from autods.cli.from_movie import fill_measured
from autods.cli.research import run_hydra
from autods.cli.sweeps import write_result
from autods.configuration.type_checks import check_call, check_calls
from autods.core.resources import models_dir
from autods.io.atomic import atomic_path
from autods.runs.lock import own_folder
from autods.runs.provenance import digest_file
from autods.zoo.registry import WEIGHTS_FILE, list_models

_LOG = logging.getLogger(__name__)


@dataclass
class _TrainConfig:
    """Types of the keys of ``conf/train.yaml`` that belong to no group."""

    name: str
    out: str
    models: str | None
    description: str
    generalist: bool
    warm_start: str | None
    overwrite: bool
    seed: int


def command(arguments: Arguments) -> int:
    """Run ``autods train``.

    Raises `UsageError` if nothing says what is to be trained.
    """
    if not arguments.overrides:
        raise UsageError("autods train needs to know what: give experiment=NAME or movie=MOVIE")
    return run_hydra(arguments, run)


def run(config: DictConfig) -> float:
    """Train, export the model, and return its Jaccard index on the fixed test set.

    Of a distributed training, the first process exports the model; the others return NaN.
    """
    import pytorch_lightning as pl

    from autods.training.fit import claim_folder, fit, is_first_process, warm_start

    fill_measured(config)
    config.warm_start = _start_of(config.warm_start)
    check_calls(config)
    check_call(fit, config.trainer, "trainer.")
    check_call(_TrainConfig, config, "")
    pl.seed_everything(config.seed, verbose=False)
    module = instantiate(config.module, _convert_="all")
    data = instantiate(config.data, _convert_="all")
    if config.warm_start is not None:
        warm_start(module.network, Path(config.warm_start), data.context // 2)
    out = Path(config.out)
    with own_folder(out) if is_first_process() else nullcontext():
        resume = False
        if not config.trainer.fast_dev_run:
            resume = claim_folder(out, inputs_of(config), overwrite=config.overwrite)
        with atomic_path(out / "config.yaml") as temporary:
            OmegaConf.save(config, temporary, resolve=True)
        return _train(config, module, data, resume=resume)


def _train(config: DictConfig, module: Any, data: Any, *, resume: bool) -> float:
    """Train, export the model and return its Jaccard index; NaN in processes that export nothing."""
    from autods.training.export import export_model, score_module
    from autods.training.fit import fit

    out, trainer = Path(config.out), dict[str, Any](OmegaConf.to_container(config.trainer))  # type: ignore[arg-type]
    fit(module, data, out, resume=resume, hyperparameters=hyperparameters_of(config), **trainer)
    if not module.trainer.is_global_zero:
        return math.nan
    if config.trainer.fast_dev_run:
        scores = score_module(module, data)
        write_result([scores])
        return scores["jaccard"]
    card = export_model(
        module,
        data,
        data.sampler,
        config.name,
        _model_folder(config),
        description=config.description,
        training=training_of(config),
        generalist=config.generalist,
    )
    steps = module.trainer.global_step
    write_result([{**card.metrics, "threshold": card.threshold, "steps": steps, "out": str(out)}])
    return card.metrics["jaccard"]


#: Settings of a training that do not change what comes out, or only where and how fast it is computed.
_NO_INPUTS = ("out", "models", "description", "generalist", "overwrite", "name", "experiment")
#: What conditions are measured on: they are in what is made of it.
_MEASURED_ON = ("movie", "profile", "optics", "camera", "sources")
_MACHINE = ("accelerator", "devices", "num_nodes", "strategy", "fast_dev_run", "progress_bar")


def inputs_of(config: DictConfig) -> dict[str, Any]:
    """Return all that changes the outcome of a training, for the key of its folder."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    inputs = {key: value for key, value in values.items() if key not in _NO_INPUTS + _MEASURED_ON}
    inputs["trainer"] = {key: value for key, value in values["trainer"].items() if key not in _MACHINE}
    inputs["data"] = {key: value for key, value in values["data"].items() if key != "num_workers"}
    # The groups are in what is made of them.
    for group in ("network", "representation", "conditions", "light", "cameras"):
        del inputs[group]
    if values["warm_start"] is not None:
        start = Path(values["warm_start"])
        inputs["warm_start"] = digest_file(start / WEIGHTS_FILE if start.is_dir() else start).sha256
    return inputs


def hyperparameters_of(config: DictConfig) -> dict[str, Any]:
    """Return what decides the outcome of a training, for TensorBoard's table of hyper-parameters."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    groups = ("conditions", "light", "cameras", "network", "representation")
    scalars = {key: value for key, value in values["data"].items() if not isinstance(value, dict)}
    module = {key: value for key, value in values["module"].items() if not key.startswith(groups)}
    return {
        **{key: _plain(values[key]) for key in ("name", "seed", "warm_start", *groups)},
        "data": _plain(scalars),
        "module": _plain(module),
        "trainer": {key: values["trainer"][key] for key in ("max_steps", "precision", "gradient_clip")},
    }


def _start_of(warm_start: str | None) -> str | None:
    """Return the path of the weights to start from: the name of a shipped model stands for its folder."""
    if warm_start is None or Path(warm_start).exists() or warm_start not in list_models():
        return warm_start
    return str(models_dir() / warm_start)


def _model_folder(config: DictConfig) -> Path:
    return Path(config.out) / "model" if config.models is None else Path(config.models) / config.name


def training_of(config: DictConfig) -> dict[str, Any]:
    """Return what a card tells of the training: data, schedule and start."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    data = values["data"]
    blinking = {key: data[key] for key in ("context", "on_frames") if data[key] not in (1, None)}
    limit = values["trainer"]["max_minutes"]
    return {
        "conditions": _plain(values["conditions"]),
        "light": _plain(values["light"]),
        "cameras": _plain(values["cameras"]),
        "size_px": data["size_px"],
        "batch_size": data["batch_size"],
        **blinking,
        "seed": values["seed"],
        "max_steps": values["trainer"]["max_steps"],
        **({} if limit is None else {"max_minutes": limit}),
        "learning_rate": values["module"]["learning_rate"],
        "warm_start": None if values["warm_start"] is None else Path(values["warm_start"]).name,
    }


def _plain(values: Any) -> Any:
    """Name classes by their last word: a card describes, it is no recipe to import things by."""
    if isinstance(values, list):
        return [_plain(value) for value in values]
    if not isinstance(values, dict):
        return values
    plain = {key: _plain(value) for key, value in values.items() if key != "_target_"}
    if "_target_" in values:
        plain = {"kind": values["_target_"].rpartition(".")[2], **plain}
    return plain
