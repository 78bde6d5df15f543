import math

import pytest
import torch

from autods.core import EmitterBatch
from autods.simulation import GaussianRenderer, PsfBankRenderer, Scenes
from autods.simulation.frames import pixel_integrals

PIXEL = 100.0


def one_emitter(x, y, z=0.0, photons=1000.0, sigma=110.0):
    emitters = EmitterBatch.from_flat(
        torch.tensor([0]), torch.tensor([[x, y, z]]), torch.tensor([photons]), n_frames=1
    )
    return Scenes(emitters, torch.zeros(1), torch.tensor([sigma]))


@pytest.fixture(scope="module")
def bank():
    return PsfBankRenderer.aberrated_airy(PIXEL, n_models=3, rms_waves=0.0)


@pytest.fixture(params=["gaussian", "bank"])
def renderer(request, bank):
    return GaussianRenderer(PIXEL) if request.param == "gaussian" else bank


def centroid(image):
    grid = (torch.arange(image.shape[0]) + 0.5) * PIXEL
    columns = (torch.arange(image.shape[1]) + 0.5) * PIXEL
    return float((image.sum(0) * columns).sum() / image.sum()), float(
        (image.sum(1) * grid).sum() / image.sum()
    )


@pytest.mark.parametrize(("x", "y"), [(1650.0, 1250.0), (1633.0, 1291.0), (1700.0, 1200.0)])
def test_light_is_where_the_emitter_is(renderer, x, y):
    image = renderer(one_emitter(x, y), (26, 32), torch.Generator().manual_seed(0))[0]
    assert image.shape == (26, 32)
    found = centroid(image)
    # The tabulated region ends off-centre by up to half a pixel, which pulls the centroid of Airy tails.
    tolerance = 0.5 if isinstance(renderer, GaussianRenderer) else 3.0
    assert found[0] == pytest.approx(x, abs=tolerance)
    assert found[1] == pytest.approx(y, abs=tolerance)


def test_the_energy_arrives(renderer):
    image = renderer(one_emitter(1650.0, 1250.0), (26, 32), torch.Generator().manual_seed(0))
    # An Airy pattern keeps a few per cent of its energy outside the tabulated region.
    assert float(image.sum()) == pytest.approx(1000, rel=0.1)
    assert float(image.sum()) <= 1000.1


def test_moving_in_x_moves_along_columns_only(renderer):
    generator = torch.Generator().manual_seed(0)
    here = renderer(one_emitter(1050.0, 1050.0), (21, 21), generator)[0]
    generator.manual_seed(0)
    there = renderer(one_emitter(1350.0, 1050.0), (21, 21), generator)[0]
    assert torch.allclose(here[:, 4:17], there[:, 7:20], atol=1e-3)


def test_defocus_widens_the_gaussian():
    renderer = GaussianRenderer(PIXEL, depth_nm=400.0)
    image = renderer(one_emitter(2050.0, 2050.0, z=400.0), (41, 41), torch.Generator())[0]
    x = (torch.arange(41) + 0.5) * PIXEL - 2050.0
    variance = float((image.sum(0) * x**2).sum() / image.sum()) - PIXEL**2 / 12
    assert math.sqrt(variance) == pytest.approx(110 * math.sqrt(2), rel=0.01)


def test_light_of_emitters_outside_the_field_still_enters(renderer):
    image = renderer(one_emitter(-50.0, 1050.0), (21, 21), torch.Generator().manual_seed(0))[0]
    assert 0.1 * 1000 < float(image.sum()) < 0.5 * 1000
    assert int(image.sum(0).argmax()) == 0


def test_emitters_add_up_and_stay_in_their_frames(renderer):
    frame = torch.tensor([0, 0, 1])
    xyz = torch.tensor([[1050.0, 1050.0, 0.0], [1250.0, 1050.0, 0.0], [550.0, 450.0, 0.0]])
    emitters = EmitterBatch.from_flat(frame, xyz, torch.tensor([500.0, 700.0, 900.0]), 2)
    scenes = Scenes(emitters, torch.zeros(2), torch.full((2,), 110.0))
    images = renderer(scenes, (21, 21), torch.Generator().manual_seed(0))
    assert float(images[0].sum()) == pytest.approx(1200, rel=0.1)
    assert divmod(int(images[1].argmax()), 21) == (4, 5)


def test_pixel_integrals_sum_to_one_inside():
    weights = pixel_integrals(torch.tensor([1000.0]), torch.tensor([100.0]), 20, PIXEL)
    assert float(weights.sum()) == pytest.approx(1, abs=1e-6)


def test_the_bank_matches_the_exact_model_between_its_shifts(bank):
    from autods.core import OpticalSystem
    from autods.core.optical_system import AIRY_SIGMA
    from autods.optics.pupil_psf import ScalarPSF

    na = 1.2
    psf = ScalarPSF(OpticalSystem(PIXEL, wavelength_nm=110 * na / AIRY_SIGMA, na=na))
    single = PsfBankRenderer([psf], [110.0])
    image = single(one_emitter(1062.0, 1037.0, photons=1.0), (21, 21), torch.Generator())[0]
    exact = psf(torch.tensor([[12.0, -13.0, 0.0]]), 17)[0]
    assert float((image[2:19, 2:19] - exact).abs().max()) < 0.01 * float(exact.max())


def test_a_bank_needs_psfs_of_one_pixel_size():
    with pytest.raises(ValueError, match="one pixel size"):
        PsfBankRenderer([], [])
