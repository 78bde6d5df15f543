"""What a localizer explains of frames, and when that speaks against the PSF.

A wrong PSF leaves light, misfits the pixels where it puts some, and sets several emitters where one is, which
imitate it together. Each of these happens with the right PSF too, where emitters crowd or a calibration is
not exact: what counts is how much more of it there is than in frames simulated with the PSF, or with the PSF
turned.
"""

from __future__ import annotations

import math
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from autods.core import LocalizationTable
from autods.optics.extent import power_sums
from autods.pipelines.psf_source import KnownPsf

#: Squared light of a frame that counts, in standard deviations of what noise alone gives.
_LIT = 5.0
#: Pixels in which the misfit of a frame is measured, at least.
_FEWEST_PX = 10
#: Share of the light that any calibrated PSF may leave.
_LITTLE = 0.05
#: Weights of the misfit, which is the steadiest of the three signs, and of the neighbours, which are few, and
#: more where a calibration is not exact; and neighbours that tell nothing yet.
_MISFIT, _CROWD, _FEW = 2.0, 0.4, 4.0
#: Sums of the weighted logarithms of the three ratios from which a PSF is doubted, and a turned one is the
#: better. Right PSFs stay below 0.6 in the frames of ``suite=wrong_psf``, and none is beaten by one turned.
_DOUBTED, _TURNED = 0.7, 0.3
#: Localizations from which a movie's frames are compared with simulated ones.
_ENOUGH = 20


def near_px(known: KnownPsf) -> float:
    """Return the radius of the area that a PSF covers, px: one over the sum of its squares."""
    return math.sqrt(1 / (math.pi * power_sums(known.model, *known.z_range_nm)[0]))


def signs(
    signal: NDArray[np.float32],
    model: NDArray[np.float32],
    noise: NDArray[np.float32],
    found: LocalizationTable,
    near_nm: float,
) -> dict[str, float]:
    """Return what tells a wrong PSF from the right one.

    ``localizations``: their number; ``explained_variance``: 1 minus the squared residual over the squared
    signal, both less what noise alone gives; ``explained_in_half``: at least that much in half of the frames;
    ``misfit``: squared residual over its variance where the emitters' light exceeds the noise, median of the
    frames; ``neighbours``: pairs of emitters in one frame within ``near_nm``, each counted twice, and
    ``neighbours_by_chance``: as many in two different frames, which the structure of the sample makes and no
    PSF.

    Parameters
    ----------
    signal
        (T, Y, X) light above the background, photons.
    model
        (T, Y, X) that of what was found.
    noise
        (T, Y, X) variance under the model; 0 where a pixel is not valid.
    found
        What was found.
    near_nm
        Radius of the area of the PSF, nm.
    """
    residual = signal - model
    light, left = ((values**2 - noise).sum((1, 2), dtype=np.float64) for values in (signal, residual))
    # Frames without molecules hold what noise happens to give.
    lit = light > _LIT * np.sqrt(2 * (noise**2).sum((1, 2), dtype=np.float64))
    # A few molecules, out of the beads' depths or very bright, must not decide: half of the frames do.
    shares = 1 - left[lit].clip(0) / light[lit]
    total = float(light.sum())
    bright = (noise > 0) & (model**2 > noise)
    ratio = np.divide(residual**2, noise, out=np.zeros_like(residual), where=bright)
    pixels = bright.sum((1, 2))
    misfits = ratio.sum((1, 2))[pixels >= _FEWEST_PX] / pixels[pixels >= _FEWEST_PX]
    pairs = cKDTree(np.c_[found.x_nm, found.y_nm]).query_pairs(near_nm, output_type="ndarray")
    same = found.frame[pairs[:, 0]] == found.frame[pairs[:, 1]]
    return {
        "localizations": len(found),
        "explained_variance": 1 - max(float(left.sum()), 0.0) / total if total > 0 else math.nan,
        "explained_in_half": float(np.median(shares)) if len(shares) else math.nan,
        "misfit": float(np.median(misfits)) if len(misfits) else math.nan,
        "neighbours": 2.0 * int(same.sum()),
        "neighbours_by_chance": 2.0 * int((~same).sum()) / max(len(signal) - 1, 1),
    }


def difference(shown: dict[str, Any], usual: dict[str, Any]) -> float:
    """Return how much more speaks against one PSF than against another: the weighted sum of the logarithms of
    the ratios of `signs`; NaN where the frames tell too little.
    """
    values = [shown["explained_in_half"], usual["explained_in_half"], shown["misfit"], usual["misfit"]]
    if not all(_is_known(value) for value in values):
        return math.nan
    left, usually_left = (max(1 - value, _LITTLE) for value in values[:2])
    misfit, usual_misfit = (max(value, 1.0) for value in values[2:])
    crowd, usual_crowd = (
        (one["neighbours"] + _FEW) / (one["neighbours_by_chance"] + _FEW) for one in (shown, usual)
    )
    ratios = ((left / usually_left, 1.0), (misfit / usual_misfit, _MISFIT), (crowd / usual_crowd, _CROWD))
    return sum(weight * math.log(ratio) for ratio, weight in ratios)


def unexplained(real: dict[str, Any], simulated: dict[str, Any] | None) -> str | None:
    """Say why the PSF does not explain the movie's frames; None where it does.

    Parameters
    ----------
    real
        `signs` of frames of the movie, and ``turned``: those with the PSF turned, by name.
    simulated
        `signs` of frames that hold a population like the movie's, simulated with the PSF; None where none
        could be measured.
    """
    half = real["explained_in_half"]
    if not _is_known(half):
        return None  # the frames hold no light above their noise
    by_turn = {name: difference(real, other) for name, other in real["turned"].items()}
    best = max(by_turn, key=lambda name: _or_lowest(by_turn[name]), default=None)
    if best is not None and by_turn[best] > _TURNED:
        return (
            f"the PSF {best} explains the movie better ({_percent(real['turned'][best])} of the light in half"
            f" of the frames, with fewer emitters in one place) than the PSF itself ({_percent(real)}): check"
            " the orientation and the order of the bead stack's slices, and calibration.scan (objective or"
            " stage)"
        )
    if simulated is None or real["localizations"] < _ENOUGH:
        return None
    if difference(real, simulated) > _DOUBTED:
        return (
            f"the PSF explains {_percent(real)} of the movie's light in half of the frames, and"
            f" {_percent(simulated)} of that of frames simulated with it, misfits pixels"
            f" {_times(real['misfit'], simulated['misfit'])} as much, or sets several emitters in one place:"
            " check that beads and movie are of one microscope, the depths and the focal plane"
        )
    return None


def _percent(shown: dict[str, Any]) -> str:
    return f"{100 * shown['explained_in_half']:.0f} %"


def _times(value: float, usual: float) -> str:
    return f"{value / max(usual, 1e-3):.1f} times"


def _or_lowest(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _is_known(share: float | None) -> TypeGuard[float]:
    """Tell whether a share is a number: in a record that was read again, NaN is None."""
    return share is not None and math.isfinite(share)
