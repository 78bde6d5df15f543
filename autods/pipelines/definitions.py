"""The settings of the two one-clicks as people meet them: label, unit, limits, choices, what null means.

The help of the command line, the forms of the page, the units of the report and the checks of the settings
objects all take them from here. Defaults are those of `autods.pipelines.settings` and `settings3d`. Imports
nothing heavy: help must not wait for torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from autods.core.errors import UserError
from autods.core.quantities import QUANTITIES, require_plausible

Kind = Literal["number", "whole", "choice", "frames", "roi", "range", "region", "filter", "text"]


@dataclass(frozen=True)
class Setting:
    """One setting."""

    #: As on the command line.
    key: str
    #: What people read.
    label: str
    #: Of a number, or how a text is written.
    unit: str = ""
    #: What it may be.
    kind: Kind = "number"
    #: Limits of a number, both allowed.
    low: float = -math.inf
    high: float = math.inf
    #: Whether ``low`` itself is not allowed.
    above: bool = False
    #: Values of a choice, and what people read for them.
    choices: tuple[tuple[str, str], ...] = ()
    #: What null means; '' where null is not allowed.
    unset: str = ""
    #: What is taken where nothing is given, if that is neither a constant nor what null means.
    usual: str = ""
    #: More about it.
    about: str = ""
    #: What else the command line takes, such as the file of a map.
    besides: str = ""
    #: Name in `QUANTITIES`, whose limits it has; '' for none.
    quantity: str = ""

    @property
    def meaning(self) -> str:
        """One line for the help of the command line."""
        first = self.label if self.label[1:2].isupper() else self.label[0].lower() + self.label[1:]
        first += f" ({self.about})" if self.about else ""
        line = f"{first}, {self.unit}" if self.unit else first
        if self.choices:
            line += ": " + ", ".join(value for value, _ in self.choices)
        line += f", or {self.besides}" if self.besides else ""
        line += f"; null: {self.unset}" if self.unset else ""
        return f"{line}; not given: {self.usual}" if self.usual else line

    def require(self, value: object) -> None:
        """Refuse a value that does not fit; None, and what is no number of a number's setting, passes.

        Raises `UserError` naming the setting, the value and what fits.
        """
        if self.kind == "choice":
            names = [name for name, _ in self.choices]
            if value is not None and value not in names:
                null = ["null"] if self.unset else []
                raise UserError(f"{self.key} is {value!r}: use {_either([*names, *null])}")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            require_plausible(self.quantity, value, self.key)
            if not self.holds(value):
                raise UserError(f"{self.key} is {value:g}: it must be {self.limits()}")

    def holds(self, value: float) -> bool:
        """Tell whether a number lies within the limits."""
        return self.low < value <= self.high if self.above else self.low <= value <= self.high

    def limits(self) -> str:
        """Return the limits as the end of a sentence."""
        unit = f" {self.unit}" if self.unit else ""
        if math.isinf(self.high):
            return f"{'greater than' if self.above else 'at least'} {self.low:g}{unit}"
        start = "greater than" if self.above else "from"
        return f"{start} {self.low:g} {'and up ' if self.above else ''}to {self.high:g}{unit}"


def _either(names: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _quantity(key: str, label: str, unset: str, *, about: str = "", besides: str = "") -> Setting:
    """Return the setting of a physical quantity, whose unit and limits are known."""
    name = key.rpartition(".")[2]
    known = QUANTITIES[name]
    return Setting(
        key,
        label,
        known.unit,
        low=known.low,
        high=known.high,
        unset=unset,
        about=about,
        besides=besides,
        quantity=name,
    )


_MAP = "the file of a map"
OPTICS = (
    _quantity("optics.pixel_size_nm", "Camera pixel in the sample", "from the file"),
    _quantity("optics.wavelength_nm", "Emission wavelength", "not known"),
    _quantity("optics.na", "Numerical aperture", "not known"),
)
INDICES = (
    Setting("optics.n_immersion", "Refractive index, immersion", low=1, high=2.5),
    Setting("optics.n_sample", "Refractive index, sample", low=1, high=2.5),
    Setting(
        "optics.nfp_nm",
        "Focal plane height",
        "nm",
        low=-50000,
        high=50000,
        about="of the nominal focal plane above the coverslip",
    ),
)
CAMERA = (
    _quantity("camera.offset_adu", "Dark level", "measured, else 0", besides=_MAP),
    _quantity("camera.e_per_adu", "Conversion", "measured, else 1"),
    _quantity("camera.em_gain", "EM gain", "no EM register"),
    Setting("camera.qe", "Quantum efficiency", low=0, high=1, above=True, unset="1", about="0 to 1"),
    _quantity("camera.read_noise_e", "Read noise", "measured", besides=_MAP),
)
CHANNEL = Setting("channel", "Channel", "from 0", "whole", low=0, high=1000, unset="the only one")
POSITION = Setting("position", "Stage position", "from 0", "whole", low=0, high=1e5, unset="the only one")
FRAMES = Setting("frames", "Frames", "START:STOP, from 0", "frames", unset="all", about="STOP excluded")
ROI = Setting("roi", "Region", "Y0:X0:Y1:X1, px", "roi", unset="the whole field", about="Y1 and X1 excluded")
PART = (CHANNEL, POSITION, FRAMES, ROI)
TILING = _quantity("tiling.patch_um", "Patch side", "", about="each patch gets its own model")
BACKGROUND = Setting(
    "background",
    "Background",
    kind="choice",
    choices=(
        ("auto", "automatic"),
        ("temporal", "from each pixel over time"),
        ("spatial", "from the neighbourhood"),
        ("none", "one level"),
    ),
)
FILTER = Setting(
    "filter", "Keep only", 'such as "photons > 500 & uncertainty_xy < 20"', "filter", unset="all"
)
DRIFT = Setting(
    "drift",
    "Drift correction",
    kind="choice",
    choices=(("auto", "automatic"), ("fiducials", "from beads"), ("none", "none")),
    besides="the file of a drift",
)
LINK = (
    Setting(
        "link.radius_nm",
        "Linking radius",
        "nm",
        low=0,
        above=True,
        unset="by the errors",
        about="farthest a molecule is from itself in consecutive frames",
    ),
    Setting("link.gap", "Linking gap", "frames", "whole", low=0, about="a molecule may be dark in between"),
)
RENDER = Setting("render.pixel_size_nm", "Pixel of the picture", "nm", low=0.5, high=1000)
#: What is done with the localizations, in 2D and in depth.
FINISH = (FILTER, DRIFT, *LINK, RENDER)
DEVICE = Setting(
    "device",
    "Device",
    kind="choice",
    choices=tuple((name, name) for name in ("auto", "cpu", "cuda", "mps")),
    besides="one of several, such as cuda:1",
)
_UNCERTAINTY = Setting(
    "decode.max_uncertainty_nm", "Largest uncertainty", "nm", low=0, high=1e4, above=True, unset="any"
)
FAMILY = Setting(
    "selection.family",
    "Kind of models",
    kind="choice",
    choices=(("mixture", "mixture"), ("heatmap", "heatmap (Deep-STORM)")),
    unset="the better one that is there",
)
SELECTION = Setting(
    "selection.rule",
    "Model selection",
    kind="choice",
    choices=(
        ("average", "average of density and SNR (the paper's)"),
        ("density", "by density"),
        ("snr", "by signal-to-noise ratio"),
        ("nearest", "nearest in both"),
        ("auto", "a specialist where it was trained for the patch, else the general model"),
    ),
    besides="fixed:NAME, or an installed one",
)


def _threshold(unset: str) -> Setting:
    label, unit = "Detection threshold", "confidence"
    return Setting("decode.threshold", label, unit, low=0, high=1000, above=True, unset=unset)


def _significance(unset: str) -> Setting:
    label, unit = "Least photons", "standard errors"
    return Setting("decode.min_significance", label, unit, low=0, high=1000, unset=unset)


def _refine(how: str) -> Setting:
    return Setting("refine", "Refine positions", kind="choice", choices=(("mle", how), ("none", "no")))


def _by_key(settings: Iterable[Setting]) -> Mapping[str, Setting]:
    return {setting.key: setting for setting in settings}


#: Settings of `autods localize` by key.
LOCALIZE = _by_key(
    (
        *OPTICS,
        *INDICES,
        *CAMERA,
        *PART,
        SELECTION,
        Setting(
            "selection.scope",
            "A model",
            kind="choice",
            choices=(("movie", "for each patch"), ("frame", "for each patch and frame")),
        ),
        FAMILY,
        TILING,
        BACKGROUND,
        Setting(
            "rescale",
            "Fit the movie to the model's optics",
            kind="choice",
            choices=(("true", "yes"), ("false", "no")),
        ),
        _threshold("the model's own"),
        _significance("by the density"),
        _UNCERTAINTY,
        _refine("maximum likelihood"),
        *FINISH,
        DEVICE,
    )
)
#: Settings of `autods localize3d` by key.
LOCALIZE3D = _by_key(
    (
        _quantity(
            "calibration.z_step_nm", "Slice distance", "from their positions", about="of the bead stack"
        ),
        Setting("calibration.z_nm", "Slices", "START:STOP:N, nm", "range", unset="by their distance"),
        Setting(
            "calibration.scan",
            "What was moved",
            kind="choice",
            choices=(
                ("auto", "the objective's focus, unless the data tell"),
                ("objective", "the objective's focus"),
                ("stage", "the stage"),
                ("emitter", "the emitter's own depth"),
            ),
        ),
        *(
            Setting(
                f"psf.z_{end}_nm",
                f"{name} depth",
                "nm",
                low=-50000,
                high=50000,
                unset="what the beads cover",
                about="above the coverslip",
            )
            for end, name in (("min", "Lowest"), ("max", "Highest"))
        ),
        *OPTICS,
        *INDICES,
        *CAMERA,
        *PART,
        BACKGROUND,
        Setting(
            "snr.region",
            "Region",
            "Y0:X0:Y1:X1, px",
            "region",
            usual="auto",
            about="where noise and photons are measured; auto: the sparsest with molecules; or a corner",
        ),
        Setting("snr.size_px", "Side of an automatic region", "px", "whole", low=8, high=10000),
        Setting(
            "snr.max_pixel_value",
            "Brightest pixel",
            "photons",
            low=0,
            high=1e6,
            above=True,
            unset="measured",
        ),
        Setting(
            "preset",
            "Size and length",
            kind="choice",
            choices=(
                ("instant", "instant: no training, the network is told the PSF"),
                ("cpu_quick", "quick, about 15 minutes on a CPU"),
                ("default", "for a GPU"),
                ("paper", "as in the paper"),
            ),
            usual="by the device",
            about="of the training",
        ),
        Setting(
            "family",
            "Kind of network",
            kind="choice",
            choices=(
                ("mixture", "mixture"),
                ("voxels", "Gaussian voxels (the paper's)"),
                ("universal", "the shipped one, not trained"),
            ),
            usual="the preset's",
        ),
        Setting(
            "trainer.max_minutes",
            "Longest training",
            "minutes",
            low=0,
            high=1e5,
            above=True,
            unset="no limit",
            usual="the preset's",
        ),
        Setting(
            "trainer.max_steps",
            "Most training steps",
            kind="whole",
            low=1,
            high=1e7,
            unset="no limit",
            usual="the preset's",
        ),
        _refine("with the PSF"),
        _threshold("the best on simulated frames"),
        _significance("the best on simulated frames"),
        _UNCERTAINTY,
        *FINISH,
        DEVICE,
    )
)
