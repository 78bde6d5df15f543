"""Training of the network that is told the PSF, wholly on one device."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from autods.io.atomic import atomic_path
from autods.networks.precision import half_where_faster
from autods.networks.universal import UniversalNet
from autods.representation import MixtureRepresentation
from autods.simulation.psf_scenes import SceneRanges, ToldScenes, draw_scenes
from autods.simulation.random_psfs import PLANES, PsfLibrary, draw_psfs
from autods.training.gradients import leave_out_nan
from autods.training.universal_score import HeldOut, score_held_out

_LOG = logging.getLogger(__name__)

#: Networks to compare, by name; of about the same cost but for the controls.
CANDIDATES: dict[str, dict[str, Any]] = {
    "planes": {"tell": "planes", "width": 48},
    "both": {"tell": "both", "width": 48},
    "shared": {"tell": "planes", "width": 44, "depth_shared": True},
    "unrolled": {"tell": "planes", "width": 36, "steps": 2},
    "unrolled_both": {"tell": "both", "width": 36, "steps": 2},
    "unrolled3": {"tell": "planes", "width": 32, "steps": 3},
    "film": {"tell": "code", "width": 48},
    "none": {"tell": "none", "width": 48},
    "context": {"tell": "planes", "width": 64, "context": True},
}
#: Weight of the rendered proposals' error.
_EXPLAIN = 0.1
_CLIP = 1.0
#: In one of so many steps no frame is told what lies beside it.
_WITHOUT_CONTEXT = 5
#: Longest memory of the averaged weights, steps.
_AVERAGE = 0.999


@dataclass(frozen=True)
class UniversalTraining:
    """Size and length of a training."""

    #: Arguments of `UniversalNet`.
    network: dict[str, Any] = field(default_factory=dict)
    #: Length in all, resumed parts together; the learning rate falls towards it.
    minutes: float = 8.5
    #: Of a batch, px.
    psfs: int = 96
    frames_per_psf: int = 4
    size_px: int = 64
    #: PSFs at hand; how many of them are drawn anew, every so many steps.
    bank: int = 768
    refresh: int = 16
    every: int = 8
    #: AdamW's, the rate at its peak, to which it rises.
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 200
    #: Of the frames.
    ranges: SceneRanges = field(default_factory=SceneRanges)
    #: Scores on held-out PSFs, evenly in time; the last at the end.
    evaluations: int = 4
    #: PSFs of them and frames of each.
    held_out: int = 16
    held_out_frames: int = 8
    #: Seconds between saved states.
    save_s: float = 30.0
    #: Of PSFs, frames and weights.
    seed: int = 0


def mixture(planes: int = PLANES) -> MixtureRepresentation:
    """Return the representation of the network's output: pixels laterally, planes axially."""
    return MixtureRepresentation(1.0, z_min_nm=0.0, z_max_nm=planes - 1.0, merge_z_nm=2.5)


class UniversalTrainer:
    """Trains, saves and resumes.

    Parameters
    ----------
    training
        What to do.
    weights
        File (safetensors) of the averaged weights, with the scores in its header; replaced at each
        evaluation.
    state
        File of the whole state, from which a training that was ended goes on.
    device
        Where everything happens.
    start
        Weights to start from; None for random ones.
    library
        The PSFs to train for; None draws them, ever new.
    """

    def __init__(
        self,
        training: UniversalTraining,
        weights: Path,
        state: Path,
        device: torch.device,
        start: dict[str, Tensor] | None = None,
        library: PsfLibrary | None = None,
    ) -> None:
        self._began = time.monotonic()
        self.training, self._weights, self._state, self.device = training, weights, state, device
        torch.manual_seed(training.seed)
        if device.type == "cuda":
            # Of the process: on a CPU with matrix units it would change what all else computes.
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.benchmark = True
        self.network = self._new_network()
        if start is not None:
            self.network.load_state_dict(start)
        self.average = self._new_network().requires_grad_(requires_grad=False)
        self.average.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
            fused=device.type == "cuda",
        )
        self.representation = mixture(self.network.planes)
        self.step, self._before_s, self.history = 0, 0.0, list[dict[str, Any]]()
        self._loss = torch.zeros((), device=device)
        if state.exists():
            self._resume()
        # Another start draws other PSFs and frames.
        self._draws = torch.Generator().manual_seed(training.seed + 7919 * (self.step + 1))
        self._frames = torch.Generator(device).manual_seed(training.seed + 104729 * (self.step + 1))
        self._draws_psfs, self._is_continued = library is None, start is not None
        if library is None:
            self.library = draw_psfs(training.bank, self._draws, device)
            self.held_out = HeldOut.draw(
                training.held_out, training.held_out_frames, training.size_px, device
            )
        else:
            self.library = library.to(device)
            self.held_out = HeldOut.of(
                self.library, training.held_out_frames, training.size_px, {"own": training.ranges}
            )

    @property
    def elapsed_s(self) -> float:
        """Seconds of training so far."""
        return self._before_s + time.monotonic() - self._began

    @property
    def progress(self) -> float:
        """Share of the training that is over."""
        return min(self.elapsed_s / (60 * self.training.minutes), 1.0)

    def run(self, told: Callable[[str], None] = _LOG.info) -> None:
        """Train to the end."""
        count = self.training.evaluations
        due = [(k + 1) / count for k in range(count) if (k + 1) / count > self.progress]
        last_save = last_line = time.monotonic()
        if self._is_continued and not self.history:
            told(self._evaluate())
        while self.progress < 1:
            self._train_step(self._draw())
            now = time.monotonic()
            if now - last_line > 10:
                last_line = now
                told(f"step {self.step} {self.elapsed_s:.0f} s loss {float(self._loss):.4f}")
            if now - last_save > self.training.save_s:
                last_save = now
                self._save_state()
            if len(due) > 1 and self.progress >= due[0]:
                due.pop(0)
                told(self._evaluate())
        told(self._evaluate())
        self._save_state()

    def _new_network(self) -> UniversalNet:
        network = UniversalNet(**self.training.network).to(self.device)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _draw(self) -> ToldScenes:
        training, device = self.training, self.device
        if self._draws_psfs and self.step and self.step % training.every == 0:
            rows = torch.randperm(len(self.library), generator=self._draws)[: training.refresh]
            self.library.replace(rows.to(device), draw_psfs(training.refresh, self._draws, device))
        psf = torch.randint(len(self.library), (training.psfs,), generator=self._draws)
        return draw_scenes(
            self.library,
            psf.to(device, non_blocking=True),
            training.frames_per_psf,
            training.size_px,
            training.ranges,
            self._frames,
        )

    def _train_step(self, scenes: ToldScenes) -> None:
        rate = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        if self._is_continued and not self._draws_psfs:
            # A few frames of one PSF are too alike to normalize by: what all PSFs gave stays.
            for part in self.network.modules():
                part.train(not isinstance(part, nn.BatchNorm2d))
        loss = self._loss_of(scenes)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        leave_out_nan(self.network.parameters())
        nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        self.optimizer.step()
        self._follow()
        self._loss = torch.lerp(self._loss, loss.detach(), 0.02) if self.step else loss.detach()
        self.step += 1

    def _loss_of(self, scenes: ToldScenes) -> Tensor:
        alone = self.step % _WITHOUT_CONTEXT == 0
        length = 1 if alone else self.training.frames_per_psf
        with half_where_faster(self.device):
            told = self.network(scenes.frames, scenes.weight, scenes.kernels, length)
        terms = self.representation.loss(told.output, scenes.emitters)
        loss = terms["count"] + terms["mixture"]
        for image in told.explained:
            error = (image - scenes.light).square() / (1 + scenes.light.clamp_min(0))
            loss = loss + _EXPLAIN * error.clamp(max=100).mean()
        return loss

    def _rate(self) -> float:
        warm = min(1.0, (self.step + 1) / self.training.warmup_steps)
        falling = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.progress))
        return self.training.learning_rate * warm * falling

    @torch.no_grad()
    def _follow(self) -> None:
        """Let the averaged weights follow."""
        share = 1 - min(_AVERAGE, (self.step + 1) / (self.step + 20))
        own: list[Tensor] = list(self.average.parameters())
        torch._foreach_lerp_(own, list(self.network.parameters()), share)
        for mean, buffer in zip(self.average.buffers(), self.network.buffers(), strict=True):
            mean.copy_(buffer)

    def _evaluate(self) -> str:
        """Score the averaged weights, and write them."""
        self.average.eval()
        scores = score_held_out(self.average, self.representation, self.held_out)
        row = {"step": self.step, "seconds": round(self.elapsed_s, 1), **scores}
        self.history.append(row)
        self._save_weights()
        return json.dumps(row)

    def _save_weights(self) -> None:
        header = {
            "training": json.dumps(asdict(self.training)),
            "network": json.dumps(self.training.network),
            "history": json.dumps(self.history),
        }
        state = {name: value.detach().cpu().contiguous() for name, value in self.average.state_dict().items()}
        with atomic_path(self._weights) as part:
            save_file(state, part, metadata=header)

    def _save_state(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "history": self.history,
        }
        with atomic_path(self._state) as part:
            torch.save(state, part)

    def _resume(self) -> None:
        state = torch.load(self._state, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self._before_s, self.history = state["step"], state["elapsed_s"], state["history"]
        _LOG.info("resumed at step %d, %.0f s", self.step, self._before_s)
