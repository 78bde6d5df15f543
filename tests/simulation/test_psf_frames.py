import pytest
import torch

from autods.core import Camera, EmitterBatch, OpticalSystem, UserError
from autods.optics import AstigmaticGaussianPSF, DefocusCurve, GaussianPSF
from autods.optics.registry import astigmatism_psf
from autods.simulation import GaussianRenderer, PsfRenderer, Scenes, Simulator, VolumeConditions

PIXEL = 100.0
ASTIGMATIC = AstigmaticGaussianPSF(PIXEL, DefocusCurve(140, -205, 290), DefocusCurve(135, 205, 290))


def scenes(n=40, n_frames=3, size_nm=2000.0, z=0.0):
    generator = torch.Generator().manual_seed(0)
    xyz = torch.rand((n, 3), generator=generator) * torch.tensor([size_nm + 600, size_nm + 600, 2 * z])
    xyz = xyz - torch.tensor([300.0, 300.0, z])
    frame = torch.randint(n_frames, (n,), generator=generator)
    emitters = EmitterBatch.from_flat(frame, xyz, 1000 * torch.rand(n, generator=generator), n_frames)
    return Scenes(emitters, torch.zeros(n_frames), torch.full((n_frames,), 120.0))


def test_frames_equal_those_of_the_analytic_renderer():
    generator = torch.Generator().manual_seed(1)
    ours = PsfRenderer(GaussianPSF(PIXEL, 120.0), 15)(scenes(), (20, 24), generator)
    theirs = GaussianRenderer(PIXEL)(scenes(), (20, 24), generator)
    assert torch.allclose(ours, theirs, atol=1e-3)


def test_chunks_change_nothing(monkeypatch):
    many = scenes(z=400.0)
    whole = PsfRenderer(ASTIGMATIC, 15)(many, (20, 20))
    monkeypatch.setattr("autods.simulation.psf_frames._CHUNK_PX", 15**2 * 7)
    assert torch.allclose(PsfRenderer(ASTIGMATIC, 15)(many, (20, 20)), whole, atol=1e-4)


def test_depth_turns_the_ellipse():
    def moments(z):
        one = EmitterBatch.from_flat(torch.tensor([0]), torch.tensor([[1030.0, 960.0, z]]), torch.ones(1), 1)
        image = PsfRenderer(ASTIGMATIC, 21)(Scenes(one, torch.zeros(1), torch.ones(1)), (21, 21))[0]
        grid = torch.arange(21) + 0.5
        x, y = (image.sum(0) * grid).sum(), (image.sum(1) * grid).sum()
        return x, y, (image.sum(0) * (grid - x) ** 2).sum(), (image.sum(1) * (grid - y) ** 2).sum()

    x, y, wide_x, wide_y = moments(-200.0)
    assert (float(x), float(y)) == pytest.approx((10.3, 9.6), abs=0.02)
    assert wide_x < 0.6 * wide_y
    _, _, wide_x, wide_y = moments(200.0)
    assert wide_y < 0.6 * wide_x


def test_a_tabulated_pupil_renders_as_the_exact_one():
    psf = astigmatism_psf(OpticalSystem(PIXEL, 660.0, 1.4))
    many = scenes(n=12, z=300.0)
    exact = PsfRenderer(psf, 25)(many, (20, 20))
    fast = PsfRenderer.fast(psf, -300.0, 300.0, 25)(many, (20, 20))
    assert float((fast - exact).abs().max()) < 0.01 * float(exact.max())


def test_an_even_region_is_refused():
    with pytest.raises(ValueError, match="odd"):
        PsfRenderer(ASTIGMATIC, 16)


def test_normal_noise_of_the_scene_is_added_in_photons():
    dark = EmitterBatch(torch.zeros(2, 1, 3), torch.zeros(2, 1), torch.zeros(2, 1, dtype=torch.bool))
    noisy = Scenes(dark, torch.zeros(2), torch.ones(2), torch.tensor([4.0, 12.0]))
    camera = Camera(offset_adu=100.0, e_per_adu=0.5, qe=0.8)
    simulator = Simulator([PsfRenderer(ASTIGMATIC, 9)], [camera])
    frames = simulator(noisy, (64, 64), torch.Generator().manual_seed(0))
    photons = camera.to_photons(frames)
    assert photons.std((1, 2)).tolist() == pytest.approx([4.0, 12.0], rel=0.05)
    assert noisy[1:].noise_std.tolist() == [12.0]


@pytest.mark.parametrize("edge_px", [5.0, 0.0, -3.0])
def test_scenes_keep_to_their_ranges(edge_px):
    conditions = VolumeConditions(
        -400.0, 300.0, (500.0, 900.0), PIXEL, (2, 9), edge_px, background=(3.0, 6.0), noise_std=(1.0, 1.4)
    )
    drawn = conditions.sample(200, 32, torch.Generator().manual_seed(0))
    _, xyz, photons = drawn.emitters.flat()
    low, high = edge_px * PIXEL, (32 - edge_px) * PIXEL
    for axis, limits in ((0, (low, high)), (1, (low, high)), (2, (-400.0, 300.0))):
        span = limits[1] - limits[0]
        assert limits[0] <= float(xyz[:, axis].min()) < limits[0] + 0.03 * span
        assert limits[1] - 0.03 * span < float(xyz[:, axis].max()) <= limits[1]
    assert sorted(set(drawn.emitters.counts.tolist())) == list(range(2, 10))
    for values, (least, most) in (
        (photons, (500, 900)),
        (drawn.background, (3, 6)),
        (drawn.noise_std, (1, 1.4)),
    ):
        assert least <= float(values.min()) < float(values.max()) <= most
    assert float(drawn.emitters.photons[~drawn.emitters.mask].abs().sum()) == 0


def test_impossible_conditions_are_refused():
    with pytest.raises(UserError, match="z_min_nm"):
        VolumeConditions(100.0, -100.0, (1.0, 2.0))
    with pytest.raises(UserError, match="photons"):
        VolumeConditions(-100.0, 100.0, (3.0, 2.0))
    with pytest.raises(UserError, match="no room"):
        VolumeConditions(-100.0, 100.0, (1.0, 2.0)).sample(1, 40, torch.Generator())
