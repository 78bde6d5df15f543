"""Input normalisation, shared by training and inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

_MAD_TO_STD = 1.4826
_EPSILON = 1e-6
_KNEE = 20.0


def standard(frames: Tensor) -> Tensor:
    """Subtract the mean of each frame of (B, C, Y, X), divide by its standard deviation (as the paper).

    Examples
    --------
    >>> import torch
    >>> frames = standard(torch.arange(16.0).view(1, 1, 4, 4))
    >>> abs(round(float(frames.mean()), 6)), round(float(frames.std()), 3)
    (0.0, 1.0)
    """
    mean = frames.mean(dim=(-2, -1), keepdim=True)
    return (frames - mean) / frames.std(dim=(-2, -1), keepdim=True).clamp_min(_EPSILON)


def noise_units(frames: Tensor, noise_floor: float = 0.0) -> Tensor:
    """Bring frames (B, C, Y, X) to units of their noise: amplitudes read as signal-to-noise ratios.

    The median of each frame is subtracted first.

    The noise is measured, and at least ``noise_floor``: what is known of it when the frames are in units of
    their noise already and were resampled since.

    Dividing by the total standard deviation amplifies the noise of a frame with few emitters until it looks
    like emitters; the noise itself does not depend on how many there are. Ratios beyond 20 are compressed
    (20 asinh(x / 20)), which keeps very bright emitters near the range that a network was trained for.
    """
    median, noise = level_and_noise(frames)
    return compressed(frames - median, noise.clamp_min(noise_floor))


def compressed(excess: Tensor, noise: Tensor | float = 1.0) -> Tensor:
    """Return ``20 asinh(w / 20)``, same size, with w = excess / noise: what is beyond 20 stays in reach."""
    return _KNEE * torch.asinh(excess / (_KNEE * noise))


def camera_units(frames: Tensor) -> Tensor:
    """Append to the `noise_units` of photons what these leave out: the logarithms of noise and background.

    With them the network can know photons: an amplitude in units of the noise, times the noise. Returns (B, C
    + 2, Y, X); the last two images are constant: the logarithm of the variance of the middle frame's noise,
    and that of 1 + its median.

    Parameters
    ----------
    frames
        (B, C, Y, X) photons.
    """
    middle = frames[:, frames.shape[1] // 2].unsqueeze(1)
    median = _median(middle)
    levels = torch.cat([noise_std(middle) ** 2, 1 + median.clamp_min(0)], 1).log()
    return torch.cat([noise_units(frames), levels.expand(-1, -1, *frames.shape[-2:])], 1)


def noise_std(frames: Tensor) -> Tensor:
    """Measure the standard deviation of the pixel noise of each frame.

    The response to the mask [[1, -2, 1], [-2, 4, -2], [1, -2, 1]] vanishes on smooth structure and has 6
    times the noise's standard deviation (Immerkaer, Comput. Vis. Image Underst. 64, 300 (1996)); its median
    absolute value is insensitive to emitters as long as they fill less than half of the frame. Returns (B, C,
    1, 1) in the frames' unit, positive.

    Parameters
    ----------
    frames
        (B, C, Y, X) in any unit; each image is measured by itself.

    Examples
    --------
    >>> import torch
    >>> frames = 5 * torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> round(float(noise_std(frames + 100)), 1)
    5.0
    """
    response = frames
    for axis in (-2, -1):
        response = response.diff(n=2, dim=axis)
    return (_median(response.abs()) * _MAD_TO_STD / 6).clamp_min(_EPSILON)


def level_and_noise(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Return what `noise_units` measures in images (B, C, Y, X): median and noise, (B, C, 1, 1) each."""
    return _median(frames), noise_std(frames)


def _median(images: Tensor) -> Tensor:
    """Return the lower median of each image (..., Y, X) as (..., 1, 1)."""
    values = images.detach().flatten(-2)
    middle = (values.shape[-1] - 1) // 2
    if torch.compiler.is_compiling():  # exported: neither NumPy nor a median is known there
        return values.sort(-1).values[..., middle, None, None]
    if values.device.type == "cpu":
        # NumPy selects with vector instructions, ten times as fast.
        found = np.partition(values.numpy(), middle, axis=-1)[..., middle]
        return torch.from_numpy(np.asarray(found))[..., None, None]
    return values.median(-1).values[..., None, None]


NORMALIZATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "standard": standard,
    "noise": noise_units,
    "camera": camera_units,
    "scene": compressed,
    "scene_width": compressed,
}
#: Constant images that a normalisation adds behind the frames.
_ADDED = {"camera": 2, "scene_width": 1}


def input_channels(context: int, kind: str) -> int:
    """Return the images that a network is given of ``context`` frames normalised by ``kind``.

    Examples
    --------
    >>> input_channels(3, "noise"), input_channels(1, "camera")
    (3, 3)
    """
    return context + added_channels(kind)


def added_channels(kind: str) -> int:
    """Return how many constant images a normalisation adds behind the frames."""
    return _ADDED.get(kind, 0)


def context_frames(channels: int, kind: str) -> int:
    """Return the consecutive frames that a network of so many input images looks at."""
    return channels - added_channels(kind)


def needs_photons(kind: str) -> bool:
    """Whether frames must be converted to photons before they are normalised by ``kind``."""
    return kind == "camera"


def needs_scene(kind: str) -> bool:
    """Whether frames must be given as ``(frame - background) / noise``, by maps of both.

    Such kinds measure nothing in the frame itself, which a structured background or crowds would mislead.
    """
    return kind in ("scene", "scene_width")


def needs_width(kind: str) -> bool:
    """Whether the network is told the width of the PSF."""
    return kind == "scene_width"


def sees_pixels_alone(kind: str) -> bool:
    """Whether all that a normalisation knows of other pixels is a level and a noise for the whole image."""
    return kind == "noise" or needs_scene(kind)


def normalize(
    frames: Tensor,
    kind: str,
    *,
    noise_floor: float = 0.0,
    psf_sigma_px: Tensor | float | None = None,
    measured: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Normalise frames for a network, each image by itself.

    Raises `ValueError` if there is no such normalisation, or the width is missing.

    Parameters
    ----------
    frames
        (B, C, Y, X) C consecutive frames of a movie, of which the middle one is localized: photons where
        :func:`needs_photons` says so, in units of the noise where :func:`needs_scene` does, else of any
        linear unit.
    kind
        A key of ``NORMALIZATIONS``.
    noise_floor
        Standard deviation of the noise where it is known, 0 where it is not: `noise_units` takes it as the
        least, kinds that :func:`needs_scene` divide by it.
    psf_sigma_px
        PSF standard deviation, px, one for all or (B,), where :func:`needs_width` says so: its logarithm is
        one more image.
    measured
        (B, C, 1, 1) level and noise of the images that the frames are cut from, see
        `level_and_noise`; None measures them here.
    """
    if kind not in NORMALIZATIONS:
        raise ValueError(f"normalization {kind!r} is not known: choose one of {', '.join(NORMALIZATIONS)}")
    with torch.no_grad():
        frames = frames.float()
        if kind == "noise" and measured is not None:
            images = compressed(frames - measured[0], measured[1].clamp_min(noise_floor))
        elif kind == "noise":
            images = noise_units(frames, noise_floor)
        elif needs_scene(kind):
            images = compressed(frames, noise_floor or 1.0)
        else:
            images = NORMALIZATIONS[kind](frames)
        if not needs_width(kind):
            return images
        if psf_sigma_px is None:
            raise ValueError(f"normalization {kind!r} needs the width of the PSF")
        width = (
            torch.as_tensor(psf_sigma_px, dtype=images.dtype, device=images.device).log().view(-1, 1, 1, 1)
        )
        return torch.cat([images, width.expand(len(images), 1, *images.shape[-2:])], 1)
