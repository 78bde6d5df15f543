"""Only the named folders, whatever a path looks like."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autods.core import UserError
from autods.web.roots import Roots, safe_name


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "deep").mkdir(parents=True)
    outside.mkdir()
    (inside / "movie.tif").write_bytes(b"II*\0")
    (inside / ".hidden").write_text("x")
    (outside / "secret.txt").write_text("secret")
    (inside / "file_link").symlink_to(outside / "secret.txt")
    (inside / "folder_link").symlink_to(outside)
    (inside / "loop").symlink_to(inside / "loop")
    (inside / "good_link").symlink_to(inside / "movie.tif")
    return Roots([inside])


@pytest.mark.parametrize(
    "path",
    [
        "../outside/secret.txt",
        "deep/../../outside/secret.txt",
        "file_link",
        "folder_link/secret.txt",
        "folder_link/../outside/secret.txt",
        "/etc/passwd",
        "../absent",
        "movie.tif\0",
    ],
)
def test_nothing_outside_is_reached(roots: Roots, path: str) -> None:
    with pytest.raises(UserError, match=r"outside of the folders|null character"):
        roots.resolve(path)


def test_a_neighbour_of_a_similar_name_is_outside(tmp_path: Path, roots: Roots) -> None:
    (tmp_path / "inside2").mkdir()
    with pytest.raises(UserError, match="outside"):
        roots.resolve(tmp_path / "inside2")


def test_what_is_inside_is_found(roots: Roots) -> None:
    assert roots.resolve("movie.tif") == roots.folders[0] / "movie.tif"
    assert roots.resolve("good_link") == roots.folders[0] / "movie.tif"
    assert roots.resolve(str(roots.folders[0])) == roots.folders[0]
    with pytest.raises(UserError, match="does not exist"):
        roots.resolve("absent.tif")


def test_listing_leaves_out_hidden_entries_and_links_to_the_outside(roots: Roots) -> None:
    assert [entry.name for entry in roots.listing(".")] == ["deep", "good_link", "movie.tif"]


def test_a_folder_movie_that_links_to_the_outside_is_refused(roots: Roots, tmp_path: Path) -> None:
    stack = roots.folders[0] / "stack"
    stack.mkdir()
    (stack / "img_0001.tif").write_bytes(b"II*\0")
    assert roots.movie("stack") == stack
    (stack / "img_0002.tif").symlink_to(tmp_path / "outside" / "secret.txt")
    with pytest.raises(UserError, match="outside"):
        roots.movie("stack")


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder that can be read"):
        Roots([tmp_path / "absent"])


@given(st.text())
def test_safe_names_are_safe(name: str) -> None:
    safe = safe_name(name)
    assert safe
    assert not safe.startswith(".")
    assert "/" not in safe
    assert len(safe) <= 80
    assert safe_name(safe) == safe
