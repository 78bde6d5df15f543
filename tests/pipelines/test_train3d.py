"""The training of a 3D run: none that was finished is lost when settings change."""

from __future__ import annotations

from pathlib import Path

from autods.pipelines.train3d import TRAINING_FOLDER, _own_training_folder
from autods.training.fit import TRAINING_FILE, claim_folder


def train(folder: Path, key: str) -> bool:
    """Begin or take up a training of a key, and leave a file of its own; tell whether it goes on."""
    out = _own_training_folder(folder, key)
    resumes = claim_folder(out, key)
    (out / f"{key}.txt").touch()
    return resumes


def test_another_training_is_set_aside_and_brought_back(tmp_path: Path) -> None:
    assert not train(tmp_path, "a")
    assert train(tmp_path, "a")
    assert not train(tmp_path, "b")
    assert not train(tmp_path, "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["training", "training_1", "training_2"]
    assert train(tmp_path, "a")
    files = {path.name for path in (tmp_path / TRAINING_FOLDER).iterdir()}
    assert files == {TRAINING_FILE, "a.txt"}
    assert train(tmp_path, "b")
    assert train(tmp_path, "c")
