"""Tables of many PSFs at once, against the single models that they stand for; planes of depth."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from autods.core import OpticalSystem
from autods.optics import ScalarPSF, VectorialPSF
from autods.optics.phase_masks import tetrapod_mask
from autods.optics.planes import psf_planes
from autods.optics.pupil import Pupil
from autods.optics.pupil_tables import Pupils, tabulate_pupils
from autods.optics.spline_bank import SplineBank

_OPTICS = [
    OpticalSystem(pixel_size_nm=120.0, wavelength_nm=650.0, na=1.4, nfp_nm=700.0),
    OpticalSystem(pixel_size_nm=90.0, wavelength_nm=580.0, na=1.2, n_sample=1.38, nfp_nm=600.0),
]
_BLUR = (60.0, 30.0)
_Z = torch.linspace(0, 1400, 29)


def _masks() -> list[torch.Tensor]:
    return [tetrapod_mask(Pupil.sample(optics, 64), 0.6, 30.0) for optics in _OPTICS]


def _pupils() -> Pupils:
    names = [field.name for field in dataclasses.fields(Pupils)][:6]
    values = [torch.tensor([float(getattr(optics, name)) for optics in _OPTICS]) for name in names]
    return Pupils(*values, torch.tensor(_BLUR), torch.stack(_masks()), torch.ones(2, 64, 64))


@pytest.mark.parametrize("vectorial", [False, True])
def test_tables_are_those_of_the_single_models(vectorial: bool) -> None:
    kind = VectorialPSF if vectorial else ScalarPSF
    z = _Z[::7]
    tables = tabulate_pupils(_pupils(), z.expand(2, -1), 25, 2, vectorial=vectorial)
    for table, optics, mask, blur in zip(tables, _OPTICS, _masks(), _BLUR, strict=True):
        # The first of two samples lies a quarter pixel before the centre.
        off = torch.full_like(z, optics.pixel_size_nm / 4)
        expected = kind(optics, mask, blur_sigma_nm=blur)(torch.stack([off, off, z], 1), 25)
        torch.testing.assert_close(table[:, ::2, ::2], expected, atol=1e-6, rtol=1e-4)


def test_a_bank_renders_each_emitter_with_its_own_psf() -> None:
    bank = SplineBank(
        tabulate_pupils(_pupils(), _Z.expand(2, -1), 31), torch.zeros(2), torch.full((2,), 50.0)
    )
    generator = torch.Generator().manual_seed(0)
    xy = torch.rand(12, 2, generator=generator) - 0.5
    z = 1400 * torch.rand(12, generator=generator)
    psf = torch.arange(12) % 2
    images = bank.render(psf, xy, z, 31)
    for row, (optics, mask, blur) in enumerate(zip(_OPTICS, _masks(), _BLUR, strict=True)):
        own = psf == row
        xyz = torch.cat([xy[own] * optics.pixel_size_nm, z[own, None]], 1)
        expected = ScalarPSF(optics, mask, blur_sigma_nm=blur)(xyz, 31)
        assert (images[own] - expected).abs().max() < 0.01 * expected.max()


def test_planes_are_equal_steps_of_what_the_data_tell() -> None:
    psf = ScalarPSF(_OPTICS[0], _masks()[0], blur_sigma_nm=60.0)
    planes = psf_planes(psf, 0.0, 1400.0, 31)
    kernels = planes.kernels[0].flatten(1)
    unit = kernels / kernels.norm(dim=1, keepdim=True)
    likeness = (unit[1:] * unit[:-1]).sum(1)
    assert likeness.std() < 0.03
    z = torch.linspace(-50, 1450, 40)[None]
    back, _ = planes.to_nm(planes.from_nm(z))
    torch.testing.assert_close(back, z, atol=1e-2, rtol=1e-5)
    assert planes.z_nm[0, 0] == 0
    assert planes.z_nm[0, -1] == pytest.approx(1400)
