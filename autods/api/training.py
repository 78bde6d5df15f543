"""`train` and `load_model`: networks of one's own, and those that are shipped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from autods.api.documented import documented
from autods.core import UserError
from autods.inference import Localizer, pick_device
from autods.zoo import list_models, load_card

if TYPE_CHECKING:
    from autods.zoo import ModelCard


def train(
    experiment: str,
    out: str | Path,
    *overrides: str,
    max_minutes: float | None = None,
    max_steps: int | None = None,
) -> ModelCard:
    """Train a network on frames that are simulated while it trains, and export it as a model.

    Parameters
    ----------
    experiment
        Name of an experiment in ``conf/experiment``, such as ``zoo/heatmap``; ``from_movie`` with an override
        ``movie=FILE`` measures on a movie what is trained for.
    out
        Folder of the training; the same call goes on where an interrupted one stopped. The model lies in
        ``out/model``.
    overrides
        Settings as on the command line: ``"data.batch_size=8"``, ``"network=deepstorm"``, ...
    max_minutes, max_steps
        The training stops after so many minutes or steps and keeps the best network; None: as the experiment
        says.

    Returns
    -------
    ModelCard
        What the model was trained for, its threshold and its scores on fixed simulated frames; its ``folder``
        is what `load_model` and ``autods.localize(..., zoo=...)`` take.

    Raises
    ------
    UserError
        If a setting is unknown or of a wrong type, or the folder holds another training.

    Examples
    --------
    >>> import autods, pathlib, tempfile
    >>> tiny = ["data.size_px=16", "data.batch_size=2", "data.batches_per_epoch=2"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     card = autods.train("zoo/heatmap", folder, *tiny, "data.validation_batches=1", max_steps=2)
    ...     (pathlib.Path(folder) / "model" / "card.yaml").exists()
    True
    >>> card.name, card.family
    ('heatmap', 'heatmap')
    >>> autods.train("zoo/none", "nowhere")
    Traceback (most recent call last):
    autods.core.errors.UserError: experiment=zoo/none is no choice: use one of ...
    """
    from autods.cli.train import run
    from autods.configuration.compose import compose_checked

    folder = Path(out)
    limits = {"trainer.max_minutes": max_minutes, "trainer.max_steps": max_steps}
    words = [f"experiment={experiment}", "trainer.progress_bar=false", *overrides]
    words += [f"{key}={value}" for key, value in limits.items() if value is not None]
    config = compose_checked("train", words)
    config.out = str(folder)
    run(config)
    models = folder if config.models is None else Path(config.models)
    return load_card("model" if config.models is None else config.name, models)


@documented("localize")
def load_model(
    model: str | Path, *, threshold: float | None = None, device: str = "auto", zoo: str | Path | None = None
) -> Localizer:
    """Load a network with its normalization and decoder: frames in, emitters out.

    Parameters
    ----------
    model
        Name of a shipped model, such as ``mixture_general``, or the folder of one of your own.
    {settings}

    Returns
    -------
    Localizer
        ``localizer.localize(frames)`` takes a tensor (T, Y, X) and returns detections with ``frame``,
        ``x_px``, ``y_px`` (from the outer corner of pixel (0, 0)) and ``confidence``; ``localizer.network``
        is the plain `torch.nn.Module`.

    Raises
    ------
    UserError
        If there is no such model, or its weights are missing or corrupted.

    Notes
    -----
    Weights are safetensors, verified against the card's SHA-256; nothing is unpickled.

    Examples
    --------
    >>> import autods, torch
    >>> localizer = autods.load_model("diff_1", device="cpu")
    >>> simulated = autods.simulate(n_frames=2, size_px=32, structure="uniform")
    >>> found = localizer.localize(torch.from_numpy(simulated.frames.astype("float32")))
    >>> bool(len(found.frame) > 0), bool((found.confidence >= localizer.threshold).all())
    (True, True)
    >>> autods.load_model("diff_9")
    Traceback (most recent call last):
    autods.core.errors.UserError: no model 'diff_9' in ...
    """
    root = None if zoo is None else Path(zoo)
    card = load_card(str(model), root)
    if card.family == "universal":
        usual = ", ".join(name for name in list_models(root) if name != card.name)
        raise UserError(f"model {card.name} must be told a PSF: use autods.localize3d, or one of {usual}")
    return Localizer.from_card(card, threshold=threshold, device=pick_device(device))
