"""Train the localizer that is told the PSF: ``python scripts/train_universal.py --candidate context``."""

import argparse
import dataclasses
import logging
from pathlib import Path

import torch
from safetensors.torch import load_file

from autods.training.universal import CANDIDATES, UniversalTrainer, UniversalTraining

#: A few seconds through every path, for a machine that is not yet known to work.
SMOKE = {
    "psfs": 4, "frames_per_psf": 1, "size_px": 48, "bank": 6, "refresh": 2, "every": 2, "held_out": 3,
    "held_out_frames": 2, "evaluations": 2, "save_s": 2.0,
}  # fmt: skip
#: Whole numbers of `UniversalTraining` that can be given.
SIZES = (
    "psfs", "frames_per_psf", "size_px", "bank", "refresh", "every", "evaluations", "held_out",
    "held_out_frames", "seed",
)  # fmt: skip


def main() -> None:
    """Read the command line and train."""
    default = UniversalTraining()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidate", choices=CANDIDATES, default="context")
    parser.add_argument("--minutes", type=float, default=default.minutes)
    parser.add_argument("--out", type=Path, required=True, help="weights (safetensors), scores in the header")
    parser.add_argument("--state", type=Path, help="state to resume from; beside --out when not given")
    parser.add_argument("--start", type=Path, help="weights to start from")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that everything runs")
    for name in ("width", *SIZES):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int)
    parser.add_argument("--learning-rate", type=float)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    network = dict(CANDIDATES[given.candidate])
    if given.width is not None:
        network["width"] = given.width
    sizes = dict(SMOKE) if given.smoke else {}
    names = (*SIZES, "learning_rate")
    sizes.update({name: getattr(given, name) for name in names if getattr(given, name) is not None})
    training = dataclasses.replace(UniversalTraining(network=network, minutes=given.minutes), **sizes)
    state = given.state or given.out.with_suffix(".state.pt")
    start = None if given.start is None else load_file(given.start)
    trainer = UniversalTrainer(training, given.out, state, torch.device(given.device), start)
    trainer.run(lambda line: print(f"{given.candidate} {line}", flush=True))


if __name__ == "__main__":
    main()
