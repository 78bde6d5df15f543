import pytest
import torch

from autods.core import Camera
from autods.simulation import STRUCTURES, GaussianRenderer, Sample, Simulator, blink, simulate_movie, vary


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_fill_a_field_that_is_not_square(name):
    sample = STRUCTURES[name](12_000.0, 8_000.0, torch.Generator().manual_seed(0))
    x, y, _ = sample.xyz_nm.unbind(1)
    assert len(sample) > 100
    assert 0 <= float(x.min()) < 3_000
    assert 9_000 < float(x.max()) < 12_000
    assert 0 <= float(y.min()) < 2_000
    assert 6_000 < float(y.max()) < 8_000


def molecules(n=500):
    return Sample.of(torch.rand((n, 3), generator=torch.Generator().manual_seed(0)) * 3000)


@pytest.mark.parametrize("on_frames", [0.5, 2.0, 6.0])
def test_the_movie_has_the_density_asked_for(on_frames):
    sample = molecules()
    blinks = blink(sample, 1000, 8.0, 500.0, torch.Generator().manual_seed(1), on_frames=on_frames)
    counts = blinks.during(sample, 0, 1000).counts.float()
    assert float(counts.mean()) == pytest.approx(8, rel=0.08)
    assert float(counts[:100].mean()) == pytest.approx(8, rel=0.25)


def test_on_times_are_exponential_and_photons_are_conserved():
    sample = molecules()
    blinks = blink(sample, 2000, 5.0, 500.0, torch.Generator().manual_seed(1), on_frames=3.0)
    duration = blinks.stop - blinks.start
    assert float(duration.mean()) == pytest.approx(3, rel=0.05)
    assert float(duration.std()) == pytest.approx(3, rel=0.08)
    inside = (blinks.start >= 0) & (blinks.stop <= 2000)
    emitted = float((duration * blinks.rate)[inside].sum())
    seen = float(blinks.during(sample, 0, 2000).photons.sum())
    assert seen == pytest.approx(emitted, rel=0.02)


def test_chunks_do_not_change_the_truth():
    sample = molecules()
    blinks = blink(sample, 60, 5.0, 500.0, torch.Generator().manual_seed(1))
    whole = blinks.during(sample, 0, 60).flat()
    parts = [blinks.during(sample, first, first + 20).flat() for first in (0, 20, 40)]
    assert torch.equal(whole[2], torch.cat([photons for _, _, photons in parts]))


def test_activity_and_brightness_follow_their_grid():
    sample = vary(molecules(4000), 3000.0, torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.full((2, 2), 2.0))
    blinks = blink(sample, 200, 5.0, 500.0, torch.Generator().manual_seed(1))
    _, xyz, photons = blinks.during(sample, 0, 200).flat()
    assert float(xyz[:, :2].max()) <= 1500
    assert float(photons.max()) > 600


def test_movies_repeat_and_their_truth_lies_in_the_field():
    sample = molecules()

    def run():
        generator = torch.Generator().manual_seed(4)
        blinks = blink(sample, 25, 5.0, 500.0, generator)
        simulator = Simulator([GaussianRenderer(100.0)], [Camera(offset_adu=100.0)])
        parts = simulate_movie(
            sample, blinks, 25, (20, 24), simulator, generator,
            background=10.0, psf_sigma_nm=110.0, pixel_size_nm=100.0, chunk=10,
        )  # fmt: skip
        return list(parts)

    one, two = run(), run()
    assert [frames.shape for frames, _ in one] == [(10, 20, 24), (10, 20, 24), (5, 20, 24)]
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(one, two, strict=True))
    assert one[0][0].dtype == torch.uint16
    for _, truth in one:
        _, xyz, _ = truth.flat()
        assert float(xyz[:, 0].max()) < 2400
        assert float(xyz[:, 1].max()) < 2000
