"""Two molecules that were fitted as one: what their light leaves of the fit says where they are.

Two halves of an emitter at ``+d`` and ``-d`` of it look like the emitter and ``d^T H d / 2`` of its light, H
the second derivatives of the PSF. How well these six images describe what the fit has left, beside the
emitter's own slopes, tells whether there may be two (a score test: Rao, Proc. Cambridge Philos. Soc. 44, 50
(1948)); the matrix of their coefficients is ``d d^T`` and tells where. The two are then fitted.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import torch
from torch import Tensor

from autods.inference.alternatives import Unexplained, moved
from autods.inference.linear_fit import pick
from autods.inference.observation import Observation
from autods.inference.psf_fit import PsfFitter
from autods.inference.psf_windows import PsfWindows
from autods.optics import PSFModel
from autods.representation import Detections

#: Distances over which second derivatives are taken, those of molecules that are fitted as one: px and nm.
_REACH = (1.0, 1.0, 150.0)
#: Shortest and longest half distance that is proposed, in parts of these.
_SHORTEST, _LONGEST = 0.5, 2.0
#: Gain of the logarithm of the likelihood from which there are two (these have four parameters more), and the
#: least part of the light of each.
_GAIN, _LEAST_SHARE = 10.0, 0.15
#: Pixels of all windows that are worked on at once.
_BLOCK_PX = 1_000_000


@torch.no_grad()
def taken_for_one(
    fitter: PsfFitter, observation: Observation, found: Detections, asked: Tensor, min_photons: float
) -> tuple[Tensor, Detections]:
    """Return which emitters (N,) are two, and the two of each, of which no network has told an error.

    Parameters
    ----------
    fitter, observation
        The fit, and the frames.
    found
        All emitters of some of these frames, where the fit has put them.
    asked
        (N,) those that are asked about.
    min_photons
        Photons of each of two at least.
    """
    is_two = torch.zeros(len(found), dtype=torch.bool)
    one, some = Unexplained.by(fitter, observation, found), found.select(asked)
    windows = fitter.windows(one.model, some, some.frame)
    photons = one.photons[asked.to(one.photons.device)]
    gain, half = _proposals(fitter.psf, windows, photons, one.weight, one.left)
    proposed = (gain > _GAIN) & (half != 0).any(1)
    row = asked.nonzero()[:, 0][proposed]
    if not len(row):
        return is_two, found.select(is_two)
    near = torch.isin(found.frame, found.frame[row])
    single = near.clone()
    single[row] = False
    halves = [moved(found.select(row), sign * half[proposed]) for sign in (-1, 1)]
    fit, after = fitter.explain(observation, Detections.concatenate([*halves, found.select(single)]))
    gained = one.gained(observation, after, windows.pixel[proposed.to(after.device)])
    assert fit.photons is not None
    pair = torch.arange(2 * len(row)).view(2, -1)
    light = fit.photons[pair]
    sure = (gained > _GAIN) & (light.amin(0) > (_LEAST_SHARE * light.sum(0)).clamp_min(min_photons))
    is_two[row[sure]] = True
    two = Detections.concatenate(halves).select(pair[:, sure].flatten())
    at = fit.select(pair[:, sure].flatten())
    return is_two, replace(two, x_px=at.x_px, y_px=at.y_px, z_nm=at.z_nm)


def _proposals(
    psf: PSFModel, windows: PsfWindows, photons: Tensor, weight: Tensor, left: Tensor
) -> tuple[Tensor, Tensor]:
    """Return (N,) the likelihood's expected gain by two and (N, 3) half the way between them, px, px, nm."""
    gains, halves = [], []
    for rows in torch.split(torch.arange(len(photons)), max(1, _BLOCK_PX // windows.size_px**2)):
        part = windows.select(rows.to(photons.device))
        design = (_design(psf, part) * part.inside[:, None]).flatten(2) * photons[rows, None, None]
        weight_at, left_at = (pick(image, part.pixel).flatten(1) for image in (weight, left))
        gain, half = _score(design, weight_at * part.inside.flatten(1), left_at)
        gains.append(gain)
        halves.append(half)
    return torch.cat(gains).cpu(), torch.cat(halves).cpu()


def _design(psf: PSFModel, windows: PsfWindows) -> Tensor:
    """Return (n, 10, S, S): PSF, slopes and the images of `d d^T` by x, y, z in units of `_REACH`."""
    at = windows.xyz
    steps = torch.diag(at.new_tensor(_REACH))

    def image(shift: Tensor) -> Tensor:
        windows.xyz = at + shift
        return windows.images(psf)

    middle = image(torch.zeros_like(steps[0]))
    ahead, behind = [image(step) for step in steps], [image(-step) for step in steps]
    slopes = [(a - b) / 2 for a, b in zip(ahead, behind, strict=True)]
    second = [a + b - 2 * middle for a, b in zip(ahead, behind, strict=True)]
    for i, j in itertools.combinations(range(3), 2):
        both = image(steps[i] + steps[j]) + image(-steps[i] - steps[j])
        # Twice the mixed derivative: the form holds it twice.
        second.append(both + 2 * middle - ahead[i] - behind[i] - ahead[j] - behind[j])
    windows.xyz = at
    return torch.stack([middle, *slopes, *[0.5 * value for value in second]], 1)


def _score(design: Tensor, weight: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
    """Return (n,) gain of likelihood by the second derivatives and (n, 3) half distances."""
    design = torch.cat([design[:, :4], torch.ones_like(design[:, :1]), design[:, 4:]], 1).double()
    weighted = design * weight.double()[:, None]
    normal, moment = weighted @ design.transpose(1, 2), weighted @ left.double()[..., None]
    scale = normal.diagonal(dim1=1, dim2=2).clamp_min(1e-30).sqrt()
    normal = normal / (scale[:, :, None] * scale[:, None, :])
    normal = normal + 1e-3 * torch.eye(normal.shape[-1]).to(normal)
    moment = moment / scale[..., None]
    whole = torch.linalg.solve(normal, moment)
    few = torch.linalg.solve(normal[:, :5, :5], moment[:, :5])
    gain = 0.5 * ((whole * moment).sum((1, 2)) - (few * moment[:, :5]).sum((1, 2)))
    xx, yy, zz, xy, xz, yz = (whole[:, 5:, 0] / scale[:, 5:]).unbind(1)
    form = torch.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], 1).view(-1, 3, 3)
    values, vectors = torch.linalg.eigh(form)
    length = values[:, -1].clamp_min(0).sqrt().clamp(max=_LONGEST)
    length = torch.where(length > 0, length.clamp_min(_SHORTEST), length)
    return gain, length[:, None] * vectors[:, :, -1] * form.new_tensor(_REACH)
