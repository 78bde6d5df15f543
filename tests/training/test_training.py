import pytest
import pytorch_lightning as pl
import torch

from autods.core import Camera, EmitterBatch, UserError
from autods.inference import Localizer
from autods.networks import normalize
from autods.optics import AstigmaticGaussianPSF, DefocusCurve
from autods.representation import Detections
from autods.simulation import (
    GaussianRenderer,
    ImagingConditions,
    PsfRenderer,
    Simulator,
    Spread,
    VolumeConditions,
)
from autods.simulation.scene_errors import SceneErrors
from autods.training import LocalizationModule, SimulatedDataModule
from autods.training.export import export_model, score_module, score_network
from autods.training.fit import _precision, fit, warm_start
from autods.training.score import ThresholdScore
from autods.zoo.registry import load_card, load_model

CONDITIONS = ImagingConditions(Spread(1.0, 0.5, 2.0), Spread(12.0, 8.0, 20.0), structured=0.0, empty=0.0)
FAMILIES = {
    "heatmap": (
        "subpixel",
        {"width": 8, "pairs": 1, "upsampling": 4},
        {"pixel_size_nm": 100.0, "upsampling": 4},
    ),
    "mixture": ("pixel", {"width": 16, "pairs": 1}, {"pixel_size_nm": 100.0}),
}


PHOTON_COUNTER = Camera()
PRECISIONS = ("32-true", "bf16-mixed")


def data(cameras=(PHOTON_COUNTER,), **arguments):
    settings = {"size_px": 20, "batch_size": 4, "batches_per_epoch": 5, "validation_batches": 3, **arguments}
    return SimulatedDataModule(CONDITIONS, Simulator([GaussianRenderer(100.0)], cameras), **settings)


def module(family, **arguments):
    network, network_args, representation_args = FAMILIES[family]
    return LocalizationModule(network, network_args, family, representation_args, **arguments)


def score(module, data):
    return score_network(module.network, module.representation, module.normalization, data)


def volume_data(**arguments):
    psf = AstigmaticGaussianPSF(100.0, DefocusCurve(140, -205, 290), DefocusCurve(135, 205, 290))
    conditions = VolumeConditions(
        -400.0, 400.0, (2500.0, 3000.0), 100.0, (2, 4), edge_px=3.0, background=(5.0, 10.0)
    )
    settings = {"size_px": 20, "batch_size": 4, "batches_per_epoch": 5, "validation_batches": 3, **arguments}
    return SimulatedDataModule(conditions, Simulator([PsfRenderer(psf, 15)]), **settings)


AXIS = {"pixel_size_nm": 100.0, "z_min_nm": -400.0, "z_max_nm": 400.0}
FAMILIES_3D = {
    "mixture3d": ("pixel", {"width": 16, "pairs": 2, "channels": 7}, AXIS),
    "voxels": ("ds3d", {"n_slices": 9, "width": 8}, {**AXIS, "n_slices": 9, "photons_at_amplitude": 3000.0}),
    "binary_voxels": (
        "ds3d",
        {"n_slices": 9, "width": 8, "upsampling": 2},
        {**AXIS, "n_slices": 9, "upsampling": 2},
    ),
}


def volume_module(family, **arguments):
    network, network_args, representation_args = FAMILIES_3D[family]
    return LocalizationModule(
        network, network_args, family, representation_args, axial_match_radius_nm=500.0, **arguments
    )


def train(module, data, max_steps, precision="32-true"):
    trainer = pl.Trainer(
        max_steps=max_steps, accelerator="cpu", logger=False, enable_checkpointing=False, precision=precision,
        enable_progress_bar=False, reload_dataloaders_every_n_epochs=1,
    )  # fmt: skip
    trainer.fit(module, data)


def quiet(out, **arguments):
    return {"out": out, "accelerator": "cpu", "progress_bar": False, **arguments}


def test_batches_depend_on_seed_and_index_alone():
    dataset = data().val_dataloader().dataset
    one, two = (data().render(dataset[1]) for _ in range(2))
    assert torch.equal(one.frames, two.frames)
    assert not torch.equal(one.frames, data().render(dataset[2]).frames)
    assert not torch.equal(one.frames, data().render(data(seed=1).val_dataloader().dataset[1]).frames)


def test_windows_show_the_frames_before_and_after():
    windows, alone = data(context=3, on_frames=2.0), data(on_frames=2.0)
    first, single = (each.val_dataloader().dataset[0] for each in (windows, alone))
    batch, frame = windows.render(first), alone.render(single)
    assert batch.frames.shape == (4, 3, 20, 20)
    assert batch.background.shape == (4, 20, 20)
    # The middle frames show the same emitters, whether or not there are neighbours; only the noise differs.
    for several, one in zip(batch.emitters.flat(), frame.emitters.flat(), strict=True):
        assert torch.equal(several, one)
    light = GaussianRenderer(100.0)(single.scenes, (20, 20), torch.Generator())

    def likeness(frames):
        return float(torch.corrcoef(torch.stack([frames.flatten(), light.flatten()]))[0, 1])

    alike = [likeness(batch.frames[:, k] - batch.background) for k in range(3)]
    assert alike[1] == pytest.approx(likeness(frame.frames[:, 0] - frame.background), abs=0.03)
    assert alike[1] > max(alike[0], alike[2]) + 0.1
    assert min(alike[0], alike[2]) > 0.3


def test_a_module_of_three_frames_is_exported_and_loads(tmp_path):
    windows = data(context=3)
    trained = module("mixture", context=3)
    train(trained, windows, 2)
    export_model(trained, windows, CONDITIONS, "three", tmp_path / "three", description="", training={})
    card = load_card("three", tmp_path)
    assert card.network.args == {"width": 16, "pairs": 1, "in_channels": 3}
    assert Localizer.from_card(card).context == 3
    assert module("mixture").hparams.network_args == {"width": 16, "pairs": 1}


def test_a_network_that_is_told_the_scene_is_exported_and_loads(tmp_path):
    told = data(scene=SceneErrors())
    batch = told.render(told.val_dataloader().dataset[0])
    assert torch.equal(batch.normalized("noise"), normalize(batch.frames, "noise"))
    assert batch.normalized("scene").shape == (4, 1, 20, 20)
    trained = module("mixture", normalization="scene_width")
    train(trained, told, 2)
    card = export_model(trained, told, CONDITIONS, "told", tmp_path / "told", description="", training={})
    assert card.network.args == {"width": 16, "pairs": 1, "in_channels": 2}
    network = load_model(load_card("told", tmp_path))
    for name, value in trained.network.state_dict().items():
        assert torch.equal(network.state_dict()[name], value)
    with torch.inference_mode():
        torch.testing.assert_close(network(batch.normalized("scene_width")), trained.eval()(batch))
    with pytest.raises(UserError, match=r"data\.scene"):
        data().render(batch=data().val_dataloader().dataset[0]).normalized("scene")


def test_photons_are_learnt_from_camera_units():
    """Whatever the camera's gain, the photons become far better known than by their spread."""
    pl.seed_everything(0, verbose=False)
    cameras = [Camera(), Camera(offset_adu=100.0, e_per_adu=0.2, qe=0.5)]
    easy = data(batches_per_epoch=60, batch_size=8, cameras=cameras)
    learner = LocalizationModule(
        "pixel", {"width": 16, "pairs": 1}, "mixture", {"pixel_size_nm": 100.0, "photons": True},
        normalization="camera", learning_rate=5e-3, warmup_steps=10,
    )  # fmt: skip
    assert learner.hparams.network_args == {
        "width": 16,
        "pairs": 1,
        "in_channels": 3,
        "channels": 9,
        "levels": 2,
    }
    train(learner, easy, 400)
    learner.eval()
    error, spread, levels = [], [], []
    for scenes in easy.val_dataloader():
        batch = easy.render(scenes)
        with torch.no_grad():
            found = learner.representation.decode(learner(batch), 0.5)
        frame, xyz, photons = batch.emitters.flat()
        place = torch.stack([found.frame * 1e6, found.x_px * 100, found.y_px * 100], 1).float()
        truth = torch.cat([frame[:, None] * 1e6, xyz[:, :2]], 1)
        distance, nearest = torch.cdist(place, truth).min(1)
        near = distance < 60
        error.append((found.photons / photons[nearest]).log()[near])
        spread.append(photons[nearest].log()[near])
        levels.append((found.background / batch.background[found.frame].mean((1, 2))).log())
    assert len(torch.cat(error)) > 50
    away = torch.cat(spread) - torch.cat(spread).median()
    assert float(torch.cat(error).abs().median()) < 0.6 * float(away.abs().median())
    assert float(torch.cat(levels).abs().median()) < 0.45  # drawn log-uniform between 3 and 600


def test_a_warm_start_with_neighbours_begins_as_the_network_of_one_frame(tmp_path):
    source = module("mixture").eval()
    export_model(source, data(), CONDITIONS, "one", tmp_path / "one", description="", training={})
    target = module("mixture", context=3).eval()
    warm_start(target.network, tmp_path / "one", middle=1)
    frames = torch.randn(2, 3, 20, 20)
    with torch.inference_mode():
        assert torch.allclose(target.network(frames), source.network(frames[:, 1:2]), atol=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_one_batch_of_everything(family, precision, tmp_path):
    fit(module(family), data(), max_steps=2, fast_dev_run=True, precision=precision, **quiet(tmp_path))
    assert not list(tmp_path.rglob("*.ckpt"))


def test_the_mixture_learns_within_seconds():
    pl.seed_everything(0, verbose=False)
    easy = data(batches_per_epoch=60, batch_size=8)
    learner = module("mixture", learning_rate=5e-3, warmup_steps=10)
    before = score(learner, easy)["jaccard"]
    train(learner, easy, 400)
    after = score(learner, easy)
    assert after["jaccard"] > max(0.5, before + 0.3)
    assert after["rmse_nm"] < 70


def test_binary_voxels_learn_within_seconds():
    pl.seed_everything(0, verbose=False)
    easy = volume_data(batches_per_epoch=60, batch_size=8)
    learner = volume_module("binary_voxels", learning_rate=5e-3, warmup_steps=10)
    train(learner, easy, 400)
    assert score_module(learner, easy)["jaccard"] > 0.5


def test_the_learning_rate_falls_towards_the_time_limit(tmp_path):
    learner, rates = module("mixture", warmup_steps=1), []

    def on_step(_):
        rates.append(learner.optimizers().param_groups[0]["lr"])

    fit(learner, data(), max_steps=1_000_000, max_minutes=0.05, on_step=on_step, **quiet(tmp_path))
    assert len(rates) > 5
    assert rates[-1] < 0.1 * rates[0]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_mixture_learns_depth_within_seconds(precision):
    pl.seed_everything(0, verbose=False)
    easy = volume_data(batches_per_epoch=60, batch_size=8)
    learner = volume_module("mixture3d", learning_rate=5e-3, warmup_steps=10)
    train(learner, easy, 400, precision)
    after = score_module(learner, easy)
    # Guessing the middle of the range would leave 231 nm.
    assert after["jaccard"] > 0.5
    assert after["rmse_axial_nm"] < 110
    assert after["rmse_nm"] < 70


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("family", FAMILIES_3D)
def test_one_batch_of_everything_in_3d(family, precision, tmp_path):
    fit(
        volume_module(family),
        volume_data(),
        max_steps=2,
        fast_dev_run=True,
        precision=precision,
        **quiet(tmp_path),
    )


@pytest.mark.parametrize("faster", [True, False])
def test_the_precision_follows_the_accelerator(faster, monkeypatch):
    monkeypatch.setattr("autods.training.fit.is_faster_in_half", lambda _: faster)
    for accelerator in ("auto", "cpu", "gpu", "cuda"):
        assert _precision(accelerator) == ("bf16-mixed" if faster else "32-true")
    assert {_precision("mps"), _precision("tpu")} == {"32-true"}


def test_losses_are_computed_with_32_bits_in_half_precision():
    learner, kinds = module("mixture"), set()
    loss = learner.representation.loss

    def recorded(output, *others):
        kinds.update([output.dtype, (output[0, 0] @ output[0, 0].T).dtype])
        return loss(output, *others)

    learner.representation.loss = recorded
    train(learner, data(), 2, "bf16-mixed")
    assert kinds == {torch.float32}


def test_a_step_that_is_no_number_is_left_out():
    learner, seen = module("mixture"), []
    loss = learner.representation.loss

    def sometimes(*batch):
        seen.append(len(seen))
        return {name: term * (torch.nan if len(seen) == 2 else 1.0) for name, term in loss(*batch).items()}

    learner.representation.loss = sometimes
    before = [p.detach().clone() for p in learner.parameters()]
    train(learner, data(), 4)
    assert len(seen) >= 4
    assert all(bool(torch.isfinite(p).all()) for p in learner.parameters())
    assert any(not torch.equal(p, old) for p, old in zip(learner.parameters(), before, strict=True))


def test_a_training_that_has_failed_says_so():
    learner = module("mixture")
    with torch.no_grad():
        next(learner.parameters()).fill_(torch.nan)
    with pytest.raises(UserError, match="precision=32-true"):
        train(learner, data(), 2)


def test_an_exported_3d_model_tells_its_depth_and_axial_error(tmp_path):
    trained = volume_module("voxels").eval()
    export_model(
        trained, volume_data(), volume_data().sampler, "deep", tmp_path / "deep", description="", training={}
    )
    card = load_card("deep", tmp_path)
    assert card.family == "voxels"
    assert card.representation.args["z_max_nm"] == 400.0
    assert "rmse_axial_nm" in card.metrics
    assert card.density_per_um2.high == pytest.approx(4 / 1.4**2)


def test_checkpoints_hold_plain_values_only(tmp_path):
    fit(module("heatmap"), data(), max_steps=5, **quiet(tmp_path))
    state = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    restored = LocalizationModule.load_from_checkpoint(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    assert state["hyper_parameters"]["network"] == "subpixel"
    assert restored.representation.upsampling == 4


@pytest.mark.parametrize("family", FAMILIES)
def test_exported_models_load_and_give_the_same_output(family, tmp_path):
    trained = module(family).eval()
    export_model(trained, data(), CONDITIONS, "tiny", tmp_path / "tiny", description="a test", training={})
    card = load_card("tiny", tmp_path)
    network = load_model(card)
    frames = torch.randn(1, 1, 20, 20)
    with torch.inference_mode():
        assert torch.allclose(network(frames), trained.network(frames), atol=1e-5)
    assert card.family == family
    assert card.density_per_um2.high == 2.0
    assert set(card.metrics) == {"jaccard", "precision", "recall", "rmse_nm"}


def test_warm_start_copies_the_shared_trunk(tmp_path):
    source = LocalizationModule("pixel", {"width": 8, "pairs": 1}, "mixture", {"pixel_size_nm": 100.0})
    export_model(source, data(), CONDITIONS, "trunk", tmp_path / "trunk", description="", training={})
    target = module("heatmap")
    copied = warm_start(target.network, tmp_path / "trunk")
    own = {k: v for k, v in target.network.state_dict().items() if k.startswith("trunk.")}
    assert copied == len(own)
    assert all(torch.equal(v, source.network.state_dict()[k]) for k, v in own.items())
    with pytest.raises(UserError, match="no weights"):
        warm_start(target.network, tmp_path / "nowhere")


def test_depth_counts_only_with_an_axial_radius():
    truth = EmitterBatch.from_flat(
        torch.tensor([0, 0]), torch.tensor([[500.0, 500.0, 100.0], [1500.0, 500.0, -200.0]]), torch.ones(2), 1
    )
    one, positions = torch.ones(2), (torch.tensor([5.0, 15.0]), torch.tensor([5.0, 5.0]))
    found = Detections(torch.zeros(2).long(), *positions, one, z_nm=torch.tensor([130.0, 500.0]))
    for axial, jaccard in ((None, 1.0), (500.0, 1 / 3), (1000.0, 1.0)):
        score = ThresholdScore(axial_radius_nm=axial)
        score.update(found, truth, 100.0, 2000.0)
        best = score.compute()
        assert best["jaccard"] == pytest.approx(jaccard)
        assert ("rmse_axial_nm" in best) == (axial is not None)
    assert best["rmse_axial_nm"] == pytest.approx(((30**2 + 700**2) / 2) ** 0.5)


def test_scores_at_the_best_threshold():
    truth = EmitterBatch.from_flat(
        torch.tensor([0, 0, 1]),
        torch.tensor([[500.0, 500.0, 0.0], [1500.0, 500.0, 0.0], [-50.0, 0.0, 0.0]]),
        torch.ones(3),
        2,
    )
    found = Detections(
        torch.tensor([0, 0, 1]),
        torch.tensor([5.3, 15.0, 7.0]),
        torch.tensor([5.4, 5.0, 7.0]),
        torch.tensor([0.9, 0.5, 0.2]),
    )
    score = ThresholdScore()
    score.update(found, truth, 100.0, 2000.0)
    best = score.compute()
    assert best["threshold"] == 0.25
    assert best["jaccard"] == 1.0
    assert best["rmse_nm"] == pytest.approx((50**2 / 2) ** 0.5)
