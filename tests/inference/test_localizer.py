import copy

import numpy as np
import pytest
import torch

from autods.core import UserError
from autods.inference.execution import fuse_batch_norms
from autods.inference.localizer import Localizer, pick_device
from autods.inference.rescaling import Rescaling
from autods.networks import build_network
from autods.representation import MixtureRepresentation
from autods.zoo import CardOptics, Component, ModelCard, Span, load_card, save_model
from tests.inference.networks import matched_filter_parts
from tests.inference.test_amplitudes import expected_image


def make_localizer(threshold=1.0):
    network, representation = matched_filter_parts()
    return Localizer(network, representation, "noise", threshold)


def spots(shape, x, y, rng, background=50.0):
    clean = expected_image(shape, np.array([x]), np.array([y]), np.array([5000.0]), background)
    return torch.from_numpy(rng.poisson(clean))


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32, torch.float64])
def test_a_known_emitter_is_found_where_it_is(dtype):
    """Off-centre in x only, not a square, any number type."""
    frames = torch.stack([spots((24, 37), 7.3, 12.0, np.random.default_rng(0))] * 2).to(dtype)
    found = make_localizer().localize(frames)
    assert found.frame.tolist() == [0, 1]
    assert found.x_px.numpy() == pytest.approx([7.3, 7.3], abs=0.15)
    assert found.y_px.numpy() == pytest.approx([12.0, 12.0], abs=0.15)


@pytest.mark.parametrize("zoom", [0.5, 0.73])
def test_positions_come_back_in_the_movies_pixels(zoom):
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:40, :61] + 0.5
    wide = 1.1 / zoom
    image = 650 * np.exp(-0.5 * ((x - 17.3) ** 2 + (y - 25.0) ** 2) / wide**2) + 50
    found = make_localizer().localize(torch.from_numpy(rng.poisson(image))[None], Rescaling(zoom=zoom))
    assert len(found) == 1
    assert float(found.x_px[0]) == pytest.approx(17.3, abs=0.3)
    assert float(found.y_px[0]) == pytest.approx(25.0, abs=0.3)


def test_batches_do_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(2)
    frames = torch.stack([spots((20, 20), *rng.uniform(4, 16, 2), rng) for _ in range(7)])
    whole = make_localizer().localize(frames)
    monkeypatch.setattr("autods.inference.localizer.CPU_BATCH_PX", 900)
    parts = make_localizer().localize(frames)
    assert torch.equal(whole.frame, parts.frame)
    assert torch.allclose(whole.x_px, parts.x_px, atol=1e-4)


class _SmallMemory(torch.nn.Module):
    """Another network, in a memory of so many images."""

    def __init__(self, inner: torch.nn.Module, images: int, error: RuntimeError) -> None:
        super().__init__()
        self.error = error
        self.inner, self.images, self.margin_px = inner, images, inner.margin_px
        self.sizes: list[int] = []

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(frames))
        if len(frames) > self.images:
            raise self.error
        return self.inner(frames)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError(), RuntimeError("only output tensors with less than INT_MAX elements")]
)
def test_batches_that_do_not_fit_are_halved(error):
    rng = np.random.default_rng(2)
    frames = torch.stack([spots((20, 20), *rng.uniform(4, 16, 2), rng) for _ in range(7)])
    network, representation = matched_filter_parts()
    localizer = Localizer(_SmallMemory(network, 2, error), representation, "noise", 1.0)
    found, whole = localizer.localize(frames), make_localizer().localize(frames)
    assert torch.equal(found.frame, whole.frame)
    assert torch.allclose(found.x_px, whole.x_px, atol=1e-4)
    assert localizer.network.sizes[0] == 7
    del localizer.network.sizes[:]
    localizer.network.images = 0
    with pytest.raises(UserError, match="does not hold one image of 20 x 20 px"):
        localizer.localize(frames)


def test_other_faults_of_a_network_are_told():
    network, representation = matched_filter_parts()
    localizer = Localizer(_SmallMemory(network, 0, RuntimeError("broken")), representation, "noise", 1.0)
    with pytest.raises(RuntimeError, match="broken"):
        localizer.localize(torch.zeros(1, 20, 20))


class _Previous(torch.nn.Module):
    """Looks at the previous of three frames with the eyes of another network."""

    in_channels = 3

    def __init__(self, network):
        super().__init__()
        self.network, self.margin_px = network, network.margin_px

    def forward(self, frames):
        return self.network(frames[:, :1])


@pytest.mark.parametrize("wanted", [None, torch.tensor([0, 3, 4, 6])])
@pytest.mark.parametrize("batch_px", [900, 100_000])
def test_a_network_of_three_frames_sees_the_neighbours(monkeypatch, batch_px, wanted):
    monkeypatch.setattr("autods.inference.localizer.CPU_BATCH_PX", batch_px)
    rng = np.random.default_rng(2)
    frames = torch.stack([spots((20, 20), *rng.uniform(4, 16, 2), rng) for _ in range(7)])
    network, representation = matched_filter_parts()
    windowed = Localizer(_Previous(network), representation, "noise", 1.0)
    assert windowed.context == 3
    chosen = torch.arange(7) if wanted is None else wanted
    seen = frames[(chosen - 1).clamp(0)]  # the first frame is its own previous one
    found, expected = windowed.localize(frames, wanted=wanted), make_localizer().localize(seen)
    assert torch.equal(found.frame, expected.frame)
    assert torch.allclose(found.x_px, expected.x_px, atol=1e-4)


class _Photons(torch.nn.Module):
    """Finds one emitter of 1000 photons, on the background that the frames have."""

    in_channels, margin_px = 3, 0

    def forward(self, images):
        output = torch.zeros(len(images), 9, *images.shape[2:])
        output[:, 0] = -9.0
        output[:, 0, 5, 5] = 9.0
        output[:, 7] = images[:, -1] - np.log(31)
        return output


@pytest.mark.parametrize("zoom", [1.0, 0.5])
def test_photons_are_counted_alike_in_pixels_of_any_size(zoom):
    localizer = Localizer(_Photons(), MixtureRepresentation(100.0, photons=True), "camera", 0.5)
    assert localizer.needs_photons
    assert localizer.context == 1
    noise = torch.from_numpy(np.random.default_rng(0).poisson(20.0, (3, 40, 60)))
    found = localizer.localize(noise, Rescaling(zoom=zoom))
    assert found.frame.tolist() == [0, 1, 2]
    assert found.x_px.tolist() == pytest.approx([5.5 / zoom] * 3, abs=0.01)
    assert found.photons.tolist() == pytest.approx([1000] * 3, rel=0.01)
    assert found.background.tolist() == pytest.approx([20] * 3, rel=0.06)


class _Width(torch.nn.Module):
    """Tells the width of the PSF that it is told as an offset of one emitter, and its input's spread."""

    in_channels, margin_px = 2, 0

    def forward(self, images):
        self.spread = float(images[:, 0].std())
        output = torch.zeros(len(images), 5, *images.shape[2:])
        output[:, 0] = -9.0
        output[:, 0, 5, 5] = 9.0
        output[:, 1] = images[:, 1]
        return output


@pytest.mark.parametrize(
    ("rescaling", "told"),
    [(Rescaling(), 2.0), (Rescaling(zoom=0.5), 1.0), (Rescaling(blur_sigma_px=1.5), 2.5)],
)
def test_a_network_is_told_the_width_and_the_noise_that_it_sees(rescaling, told):
    localizer = Localizer(_Width(), MixtureRepresentation(100.0), "scene_width", 0.5)
    assert localizer.context == 1
    assert not localizer.needs_photons
    white = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 60, 60)))
    found = localizer.localize(white, rescaling, psf_sigma_px=2.0)
    shift = found.x_px.item() * rescaling.zoom - 5.5
    assert shift == pytest.approx(1.5 * np.tanh(np.log(told)), abs=1e-4)
    # What the rescaled noise does to a PSF-shaped filter, rather than its own spread, is the unit.
    spread = rescaling.apply(white.float()).std().item() / rescaling.noise_std(2.0)
    assert localizer.network.spread == pytest.approx(spread, rel=0.05)


def test_no_frames_give_no_detections():
    assert len(make_localizer().localize(torch.zeros(0, 8, 8))) == 0
    assert len(make_localizer().localize(torch.zeros(3, 8, 8), wanted=torch.zeros(0).long())) == 0


@pytest.mark.parametrize(
    ("name", "args"), [("pixel", {"width": 8}), ("subpixel", {"width": 8}), ("deepstorm", {})]
)
def test_fused_networks_compute_the_same(name, args):
    torch.manual_seed(0)
    network = build_network(name, **args).train()
    network(torch.randn(4, 1, 16, 16))  # running statistics other than 0 and 1
    network.eval()
    frames = torch.randn(2, 1, 16, 20)
    fused = fuse_batch_norms(copy.deepcopy(network))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in fused.modules())
    with torch.no_grad():
        assert torch.allclose(fused(frames), network(frames), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("family", "network", "width"), [("heatmap", "subpixel", 8), ("mixture", "pixel", 8)]
)
def test_from_card_of_each_family(tmp_path, family, network, width):
    card = ModelCard(
        name="tiny",
        family=family,
        network=Component(network, {"width": width}),
        representation=Component(family, {"pixel_size_nm": 100.0}),
        normalization="noise",
        optics=CardOptics(100.0, 110.0),
        density_per_um2=Span(1, 0.5, 2),
        snr=Span(4, 2, 8),
        threshold=0.3,
    )
    save_model(card, build_network(network, width=width), tmp_path / "tiny")
    localizer = Localizer.from_card(load_card("tiny", tmp_path), threshold=1e-6)
    assert localizer.threshold == 1e-6
    assert Localizer.from_card(load_card("tiny", tmp_path)).threshold == 0.3
    found = localizer.localize(torch.randint(0, 200, (3, 17, 23)))
    assert (found.uncertainty_px is not None) == (family == "mixture")


def test_an_unknown_device_is_refused():
    with pytest.raises(UserError, match="device=nonsense"):
        pick_device("nonsense")
    assert pick_device("cpu").type == "cpu"
