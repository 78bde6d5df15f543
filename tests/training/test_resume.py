"""A training goes on where it stopped, in its own folder only."""

import pytest
import pytorch_lightning as pl
import torch

from autods.core import UserError
from autods.training.fit import claim_folder, fit, warm_start
from tests.training.test_training import data, module, quiet


def test_a_training_goes_on_where_it_was_moved_to(tmp_path):
    first = fit(module("mixture"), data(), max_steps=5, **quiet(tmp_path / "here"))
    (tmp_path / "here").rename(tmp_path / "there")
    again = fit(module("mixture"), data(), max_steps=5, resume=True, **quiet(tmp_path / "there"))
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name


def test_a_resumed_training_ends_as_an_uninterrupted_one(tmp_path):
    def run(out, *steps):
        for limit in steps:
            pl.seed_everything(0, verbose=False)
            trained = fit(module("heatmap"), data(), max_steps=limit, resume=True, **quiet(out))
        return trained

    # The schedule depends on max_steps, so the interruption is made by a limit in time.
    whole = run(tmp_path / "a", 10)
    state = torch.load(tmp_path / "a/checkpoints/last.ckpt", weights_only=True)
    assert state["global_step"] == 10
    again = run(tmp_path / "a", 10)
    for one, two in zip(whole.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_folder_that_holds_another_training_is_refused(tmp_path):
    assert not claim_folder(tmp_path, {"seed": 0})
    fit(module("mixture"), data(), max_steps=5, **quiet(tmp_path))
    before = (tmp_path / "checkpoints/last.ckpt").read_bytes()
    assert claim_folder(tmp_path, {"seed": 0})
    with pytest.raises(UserError, match=r"another training \(seed=0, now 1\).*overwrite=true"):
        claim_folder(tmp_path, {"seed": 1})
    assert (tmp_path / "checkpoints/last.ckpt").read_bytes() == before
    assert not claim_folder(tmp_path, {"seed": 1}, overwrite=True)
    assert not (tmp_path / "checkpoints").exists()
    assert claim_folder(tmp_path, {"seed": 1})


def test_without_being_asked_nothing_is_resumed(tmp_path):
    fit(module("mixture"), data(), max_steps=5, **quiet(tmp_path))
    again = fit(module("mixture"), data(), max_steps=7, **quiet(tmp_path))
    assert again.trainer.global_step == 7
    assert again.trainer.fit_loop.epoch_loop._batches_that_stepped == 7
    assert torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 7


def test_a_damaged_checkpoint_is_told_and_the_next_best_is_taken(tmp_path, caplog):
    caplog.set_level("INFO", "autods")
    fit(module("mixture"), data(), max_steps=5, **quiet(tmp_path))
    last, best = (tmp_path / "checkpoints" / name for name in ("last.ckpt", "best.ckpt"))
    last.write_bytes(last.read_bytes()[:1000])
    again = fit(module("mixture"), data(), max_steps=10, resume=True, **quiet(tmp_path))
    assert again.trainer.global_step == 10
    assert "last.ckpt is damaged" in caplog.text
    assert "goes on at step 5 of 10" in caplog.text
    for path in (last, best):
        path.write_bytes(b"PK")
    fit(module("mixture"), data(), max_steps=5, resume=True, **quiet(tmp_path))
    assert "best.ckpt is damaged" in caplog.text


def test_who_is_killed_while_a_checkpoint_is_written_keeps_the_one_before(tmp_path, monkeypatch):
    fit(module("mixture"), data(), max_steps=5, **quiet(tmp_path))
    before = (tmp_path / "checkpoints/last.ckpt").read_bytes()
    save = torch.save

    def killed(value, path):
        save(value, path)
        path.write_bytes(path.read_bytes()[:1000])
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        fit(module("mixture"), data(), max_steps=10, resume=True, **quiet(tmp_path))
    assert (tmp_path / "checkpoints/last.ckpt").read_bytes() == before
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"last.ckpt", "best.ckpt"}


@pytest.mark.parametrize("name", ["weights.safetensors", "last.ckpt"])
def test_an_unreadable_warm_start_is_a_user_error(name, tmp_path):
    (tmp_path / name).write_bytes(b"rubbish" * 100)
    with pytest.raises(UserError, match="cannot be read as weights"):
        warm_start(module("mixture").network, tmp_path / name)
