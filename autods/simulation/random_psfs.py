"""PSFs of random microscopes, wide enough that a real one lies inside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from autods.optics.phase_masks import TETRAPOD_WAVES
from autods.optics.planes import PsfPlanes, plane_depths
from autods.optics.protocol import PSFModel
from autods.optics.pupil_tables import Pupils, tabulate_pupils
from autods.optics.spline import sample_volume
from autods.optics.spline_bank import SplineBank
from autods.optics.zernike import zernike_basis

#: What a PSF may be: four engineered ones of pupils, a plain focus of little depth, and Gaussian models.
FAMILIES = ("astigmatic", "double_helix", "tetrapod", "random", "focus", "gaussian")
#: How often each is drawn.
_WEIGHTS = dict(zip(FAMILIES, (1.2, 1.3, 1.3, 1.2, 0.5, 0.7), strict=True))
#: Side of every PSF's region, px, and the least share of its light that it holds at all depths.
SIZE_PX, _HELD = 41, 0.75
#: Pupil samples, slices of a table, planes that a network is told.
_PUPIL_PX, _SLICES, PLANES = 64, 41, 16
#: Samples of a table in a camera pixel.
OVERSAMPLING = 2
_NOLL = list(range(4, 37))


@dataclass(frozen=True)
class PsfLibrary:
    """N PSFs ready to render and to be told to a network."""

    #: Renders them.
    bank: SplineBank
    #: What a network is told.
    planes: PsfPlanes
    #: (N,) camera pixels, nm.
    pixel_nm: Tensor
    #: (N,) index into `FAMILIES`.
    family: Tensor

    def __len__(self) -> int:
        """Count the PSFs."""
        return len(self.pixel_nm)

    def to(self, device: torch.device | str) -> PsfLibrary:
        """Copy to a device."""
        return PsfLibrary(
            self.bank.to(device), self.planes.to(device), self.pixel_nm.to(device), self.family.to(device)
        )

    def replace(self, rows: Tensor, other: PsfLibrary) -> None:
        """Put the PSFs of another library in the place of some of these, whose indices are (M,)."""
        self.bank.replace(rows, other.bank)
        self.planes.kernels[rows], self.planes.z_nm[rows] = other.planes.kernels, other.planes.z_nm
        self.pixel_nm[rows], self.family[rows] = other.pixel_nm, other.family


class _Draw:
    """Uniform and normal numbers of one generator on the CPU, the same for every device."""

    def __init__(self, n: int, generator: torch.Generator) -> None:
        self.n, self.generator = n, generator

    def uniform(self, low: float, high: float, *size: int) -> Tensor:
        return torch.rand(self.n, *size, generator=self.generator) * (high - low) + low

    def normal(self, *size: int) -> Tensor:
        return torch.randn(self.n, *size, generator=self.generator)


def draw_psfs(
    n: int,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> PsfLibrary:
    """Draw light distributions of random aberrations, masks and widths.

    Parameters
    ----------
    n
        Number of PSFs.
    generator
        On the CPU: a seed gives the same PSFs on every device.
    device
        Where they are computed and stay.
    """
    return library(*draw_tables(n, generator, device))


def library_of(psf: PSFModel, z_min_nm: float, z_max_nm: float, size_px: int) -> PsfLibrary:
    """Make a library of one PSF, in a region of odd side."""
    z = torch.linspace(z_min_nm, z_max_nm, _SLICES)
    volume = sample_volume(psf, z, size_px, OVERSAMPLING)
    return library(volume[None], z[None], torch.tensor([psf.pixel_size_nm]), torch.zeros(1, dtype=torch.long))


def draw_tables(
    n: int,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    families: tuple[str, ...] = FAMILIES,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw PSFs as `draw_psfs`, but return the arguments of `library`."""
    drawn = _draw_tables(math.ceil(1.4 * n) + 2, generator, device, families)
    # What lies too wide for the region gives way to others.
    held = drawn[0].sum((2, 3)).amin(1) / OVERSAMPLING**2
    rows = torch.argsort((held < _HELD).float(), stable=True)[:n]
    tables, z, pixel, family = (value[rows] for value in drawn)
    return tables, z, pixel, family


def library(tables: Tensor, z_nm: Tensor, pixel_nm: Tensor, family: Tensor) -> PsfLibrary:
    """Make a library of tables (N, Z, T, T) at depths (N, Z) with two samples a pixel."""
    n, slices = z_nm.shape
    bank = SplineBank(tables, z_nm[:, 0].clone(), z_nm[:, 1] - z_nm[:, 0], OVERSAMPLING)
    middle = torch.zeros(n * slices, 2, device=tables.device)

    def images(depths: Tensor) -> Tensor:
        psf = torch.arange(n, device=depths.device).repeat_interleave(depths.shape[1])
        shape = (*depths.shape, bank.size_px, bank.size_px)
        return bank.render(psf, middle[: depths.numel()], depths.flatten(), bank.size_px).view(shape)

    depths = plane_depths(images(z_nm), z_nm, PLANES)
    return PsfLibrary(bank, PsfPlanes(images(depths).clamp_min(0), depths), pixel_nm, family)


def _draw_tables(
    n: int, generator: torch.Generator, device: torch.device | str, families: tuple[str, ...]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return tables (N, Z, T, T), their depths (N, Z), pixels (N,) and families (N,)."""
    draw = _Draw(n, generator)
    weights = torch.tensor([_WEIGHTS[name] if name in families else 0.0 for name in FAMILIES])
    family = torch.multinomial(weights, n, replacement=True, generator=generator)
    reach, z = _depths(draw, family)
    pupils = _pupils(draw, family, reach, z)
    vectorial = draw.uniform(0, 1) < 0.25
    gaussians = [pupils.pixel_size_nm, *_gaussians(draw, reach)]
    rows = {
        name: torch.nonzero(mask).squeeze(1)
        for name, mask in (
            ("scalar", (family != 5) & ~vectorial),
            ("vectorial", (family != 5) & vectorial),
            ("gaussian", family == 5),
        )
    }
    z = z.to(device)
    tables = torch.zeros(n, _SLICES, *(2 * [SIZE_PX * OVERSAMPLING]), device=device)
    for name in ("scalar", "vectorial"):
        if len(rows[name]):
            chosen = _to(pupils[rows[name]], device)
            index = rows[name].to(device)
            tables[index] = tabulate_pupils(
                chosen, z[index], SIZE_PX, OVERSAMPLING, vectorial=name == "vectorial"
            )
    if len(rows["gaussian"]):
        index = rows["gaussian"].to(device)
        parameters = [value[rows["gaussian"]].to(device) for value in gaussians]
        tables[index] = _gaussian_tables(z[index], *parameters)
    return tables, z, pupils.pixel_size_nm.to(device), family.to(device)


def _depths(draw: _Draw, family: Tensor) -> tuple[Tensor, Tensor]:
    """Half ranges (N,) and depths (N, Z) of the slices, nm."""
    ranges = torch.tensor([(400, 1000), (500, 1200), (700, 2200), (350, 1000), (60, 400), (350, 900)])
    low, high = ranges[family].float().unbind(1)
    reach = low + (high - low) * draw.uniform(0, 1)
    deep = draw.uniform(0, 1) < torch.where(family == 2, 0.7, 0.3)
    middle = torch.where(deep, reach * draw.uniform(1.0, 1.3), draw.uniform(-0.2, 0.2) * reach)
    return reach, middle[:, None] + reach[:, None] * torch.linspace(-1, 1, _SLICES)


def _pupils(draw: _Draw, family: Tensor, reach: Tensor, z: Tensor) -> Pupils:
    """Draw microscopes and their pupil functions."""
    oil = draw.uniform(0, 1) < 0.8
    n_immersion = torch.where(oil, draw.uniform(1.510, 1.520), draw.uniform(1.33, 1.41))
    n_sample = torch.where(draw.uniform(0, 1) < 0.7, draw.uniform(1.33, 1.35), draw.uniform(1.33, 1.47))
    na = torch.where(oil, draw.uniform(1.2, 1.5), draw.uniform(1.0, 1.27))
    wavelength = draw.uniform(520, 720)
    small = torch.tensor([60.0, 65.0, 80.0, 60.0, 60.0, 60.0])[family]
    pixel = small * torch.exp(draw.uniform(0, 1) * torch.log(torch.tensor(1.0) * 175 / small))
    coarse = draw.uniform(0, 1) < 0.06
    pixel = torch.where(coarse & (family != 2), draw.uniform(175, 250), pixel)
    middle = z.mean(1)
    # The objective's focus lies where mismatch puts it in the middle of the depths, and somewhat off.
    focus = middle * (n_immersion / n_sample) * draw.uniform(0.9, 1.1) + draw.uniform(-0.2, 0.2) * reach
    return Pupils(
        pixel,
        wavelength,
        na,
        n_sample,
        n_immersion,
        focus,
        draw.uniform(15, 135),
        _phases(draw, family, reach),
        _amplitudes(draw),
    )


@lru_cache
def _grid() -> tuple[Tensor, Tensor, Tensor]:
    """Pupil coordinates u, v and Zernike polynomials over them."""
    axis = (torch.arange(_PUPIL_PX) + 0.5) * (2 / _PUPIL_PX) - 1
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    return u, v, zernike_basis(_NOLL, u, v)


def _phases(draw: _Draw, family: Tensor, reach: Tensor) -> Tensor:
    """Return (N, P, P) phases in radians."""
    u, v, basis = _grid()
    waves = torch.zeros(draw.n, len(_NOLL))

    def add(noll: int, value: Tensor) -> None:
        waves[:, noll - _NOLL[0]] += value

    low = (torch.tensor(_NOLL) > 4) & (torch.tensor(_NOLL) <= 15)
    size = 0.022 * torch.exp(0.5 * draw.normal(1))
    waves += draw.normal(len(_NOLL)) * torch.where(low, size, 0.3 * size)
    angle = draw.uniform(0, 2 * math.pi)
    wide = (draw.uniform(0.08, 0.3), draw.uniform(0.03, 0.12))
    astigmatism = torch.where(family == 0, wide[0], torch.where(family == 3, wide[1], 0.0))
    strength = torch.where(family == 2, reach / 1500 * draw.uniform(0.75, 1.35), 0.0)
    mixing = 1 + 0.2 * draw.normal(2)
    add(6, (astigmatism + TETRAPOD_WAVES[6] * strength * mixing[:, 0]) * torch.cos(angle))
    add(5, (astigmatism + TETRAPOD_WAVES[6] * strength * mixing[:, 0]) * torch.sin(angle))
    add(12, TETRAPOD_WAVES[12] * strength * mixing[:, 1] * torch.cos(angle))
    add(13, TETRAPOD_WAVES[12] * strength * mixing[:, 1] * torch.sin(angle))
    free = draw.normal(17) * draw.uniform(0.03, 0.13, 1)
    waves[:, 1:18] += torch.where((family == 3)[:, None], free, 0.0)
    phase = 2 * math.pi * torch.einsum("nk,kyx->nyx", waves, basis)
    helix = torch.where((family == 1)[:, None, None], _helices(draw, u, v), 0.0)
    coarse = draw.normal(1, 12, 12) * draw.uniform(0, 0.35, 1, 1, 1)
    noise = F.interpolate(coarse, (_PUPIL_PX, _PUPIL_PX), mode="bicubic")[:, 0]
    return phase + helix + noise


def _helices(draw: _Draw, u: Tensor, v: Tensor) -> Tensor:
    """Return (N, P, P) phases of lines of vortices, either way round."""
    vortices = torch.tensor([3, 5, 7, 9])[torch.randint(4, (draw.n,), generator=draw.generator)]
    longest = 1.15 / ((vortices - 1) / 2)
    spacing = torch.minimum(draw.uniform(0.3, 0.75), longest)
    angle = draw.uniform(0, 2 * math.pi).view(-1, 1, 1)
    along = u * torch.cos(angle) + v * torch.sin(angle)
    across = v * torch.cos(angle) - u * torch.sin(angle)
    phase = torch.zeros_like(along)
    for k in range(9):
        place = ((k - (vortices - 1) / 2) * spacing).view(-1, 1, 1)
        phase = phase + torch.atan2(across, along - place) * (k < vortices).view(-1, 1, 1)
    return phase * torch.where(draw.uniform(0, 1) < 0.5, 1.0, -1.0).view(-1, 1, 1)


def _amplitudes(draw: _Draw) -> Tensor:
    """Return (N, P, P) amplitudes: darker to the rim, and uneven."""
    u, v, _ = _grid()
    fall = torch.exp(-draw.uniform(0, 0.7, 1, 1) * (u**2 + v**2))
    uneven = F.interpolate(draw.normal(1, 6, 6), (_PUPIL_PX, _PUPIL_PX), mode="bicubic")[:, 0]
    return fall * (1 + draw.uniform(0, 0.2, 1, 1) * uneven).clamp_min(0.1)


def _gaussians(draw: _Draw, reach: Tensor) -> list[Tensor]:
    """Draw foci, depths of focus, widths, curve terms (N, 2) and lobes of Gaussian models."""
    foci = torch.stack([-draw.uniform(0.2, 0.6) * reach, draw.uniform(0.2, 0.6) * reach], 1)
    foci = torch.where(draw.uniform(0, 1, 1) < 0.5, foci, foci.flip(1))
    depth = draw.uniform(250, 550, 2)
    width = draw.uniform(100, 170, 1) * draw.uniform(0.93, 1.07, 2)
    terms = draw.uniform(-0.08, 0.08, 4)
    helix = draw.uniform(0, 1) < 0.4
    separation = torch.where(helix, draw.uniform(500, 1000), 0.0)
    turn = draw.uniform(1400, 3000) * torch.where(draw.uniform(0, 1) < 0.5, 1.0, -1.0)
    return [foci, depth, width, terms, separation, turn, draw.uniform(0, math.pi), draw.uniform(0.7, 1)]


def _gaussian_tables(
    z: Tensor,
    pixel: Tensor,
    foci: Tensor,
    depth: Tensor,
    width: Tensor,
    terms: Tensor,
    separation: Tensor,
    turn: Tensor,
    angle: Tensor,
    balance: Tensor,
) -> Tensor:
    """Return (N, Z, T, T): astigmatic Gaussians, or two round lobes that turn with depth."""
    middle = z.mean(1, keepdim=True)
    off = ((z - middle)[:, None] - foci[:, :, None]) / depth[:, :, None]  # (N, 2, Z)
    cubic, quartic = terms[:, :2, None], terms[:, 2:, None].abs()
    sigma = width[:, :, None] * (1 + off**2 + cubic * off**3 + quartic * off**4).clamp_min(0.6).sqrt()
    helix = (separation > 0)[:, None, None]
    sigma = torch.where(helix, width[:, :1, None].expand_as(sigma), sigma)
    count = SIZE_PX * OVERSAMPLING
    place = (torch.arange(count, device=z.device) - (count - 1) / 2) / OVERSAMPLING
    direction = angle[:, None] + math.pi * (z - middle) / turn[:, None]
    pixel = pixel.view(-1, 1, 1)
    tables = torch.zeros((), device=z.device)
    for sign, share in ((0.5, 1 / (1 + balance)), (-0.5, balance / (1 + balance))):
        arms = torch.stack([torch.cos(direction), torch.sin(direction)], 1) * sign * separation.view(-1, 1, 1)

        def profile(axis: int, arms: Tensor = arms) -> Tensor:
            centre, spread = arms[:, axis, :, None] / pixel, sigma[:, axis, :, None] / pixel * math.sqrt(2)
            return 0.5 * (
                torch.erf((place + 0.5 - centre) / spread) - torch.erf((place - 0.5 - centre) / spread)
            )

        tables = tables + share.view(-1, 1, 1, 1) * profile(1)[..., :, None] * profile(0)[..., None, :]
    return tables


def _to(pupils: Pupils, device: torch.device | str) -> Pupils:
    return Pupils(**{name: value.to(device) for name, value in vars(pupils).items()})
