"""A small simulator of its own, so that the estimators are not tested with the code that calibrated them.

Blinking emitters live for several frames, the background is static, and numbers are drawn by numpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr


@dataclass(frozen=True)
class Movie:
    """Frames (T, Y, X) with their truth; positions in corner pixels."""

    frames: NDArray[np.float32]
    frame: NDArray[np.int64]
    x_px: NDArray[np.float64]
    y_px: NDArray[np.float64]
    density_per_um2: float
    snr: float
    noise_std: float


def simulate(
    density_per_um2: float,
    snr: float,
    *,
    sigma_px: float = 1.2,
    shape: tuple[int, int] = (64, 64),
    n_frames: int = 50,
    background: float = 60.0,
    tilt: float = 0.2,
    brightness_cv: float = 0.3,
    offset_adu: float = 100.0,
    adu_per_e: float = 2.0,
    read_noise_e: float = 1.5,
    on_frames: float = 1.0,
    pixel_size_nm: float = 100.0,
    seed: int = 0,
) -> Movie:
    """Simulate a movie; ``snr`` is the mean amplitude of an emitter's own pixel over the background noise."""
    rng = np.random.default_rng(seed)
    height, width = shape
    area_um2 = height * width * (pixel_size_nm * 1e-3) ** 2
    noise = math.sqrt(background + read_noise_e**2)
    level = background * (1 + tilt * np.linspace(-1, 1, width)) * np.ones((height, 1))
    light = np.repeat(level[None], n_frames, axis=0)
    border = 4
    births = rng.poisson(
        density_per_um2 * area_um2 / on_frames * (1 + 2 * border / height) * (1 + 2 * border / width),
        n_frames,
    )
    rows: list[tuple[int, float, float, float]] = []
    for t, n in enumerate(births):
        for _ in range(n):
            x, y = rng.uniform(-border, width + border), rng.uniform(-border, height + border)
            flux = max(rng.normal(1, brightness_cv), 0.1) * snr * noise
            duration = 1 if on_frames == 1 else 1 + rng.poisson(on_frames - 1)
            rows.extend((s, x, y, flux) for s in range(t, min(t + duration, n_frames)))
    frame, x, y, peak = (np.array(column) for column in zip(*rows, strict=True)) if rows else np.zeros((4, 0))
    own = _own_pixel(x, sigma_px) * _own_pixel(y, sigma_px)
    # Mean own-pixel light of the PSF, so that `peak` is the mean own-pixel amplitude.
    typical = float(own.mean()) if len(own) else 1.0
    photons = peak / typical
    for s in range(n_frames):
        here = frame == s
        lines = _lines(y[here], sigma_px, height) * photons[here, None]
        light[s] += lines.T @ _lines(x[here], sigma_px, width)
    electrons = rng.poisson(light) + rng.normal(0, read_noise_e, light.shape)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return Movie(
        frames=(electrons * adu_per_e + offset_adu).astype(np.float32),
        frame=frame[inside].astype(np.int64),
        x_px=x[inside],
        y_px=y[inside],
        density_per_um2=float(inside.sum()) / n_frames / area_um2,
        snr=float((photons * own)[inside].mean()) / noise if inside.any() else math.nan,
        noise_std=noise * adu_per_e,
    )


def _lines(centres: NDArray[np.float64], sigma: float, n: int) -> NDArray[np.float64]:
    edges = np.arange(n + 1)
    return np.asarray(np.diff(ndtr((edges - centres[:, None]) / sigma), axis=1))


def _own_pixel(position: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    start = np.floor(position)
    return np.asarray(ndtr((start + 1 - position) / sigma) - ndtr((start - position) / sigma))
