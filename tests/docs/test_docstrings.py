"""Public docstrings say what a reader needs: each rule lists those that break it, with their places."""

from __future__ import annotations

import re

from tests.docs.docstrings import (
    Documented,
    public,
    raised,
    says_nothing,
    takes_or_gives_arrays,
    without_shape,
    without_unit,
)

PUBLIC = list(public())
#: Methods of others, and whose: the docstring names a work that a reader can look up.
PUBLISHED = {
    "autods/api/localization.py": {"localize": "s44303-025-00123-w", "localize3d": "s44303-025-00123-w"},
    "autods/api/measurement.py": {"profile": "s44303-025-00123-w", "calibrate": "s44303-025-00123-w"},
    "autods/api/tables.py": {"evaluate": "Sage"},
    "autods/estimation/noise.py": {"pixel_noise": "Immerk"},
    "autods/metrics/decorrelation.py": {"decorrelation_resolution": "Descloux"},
    "autods/metrics/detection.py": {"efficiency": "Sage"},
    "autods/metrics/image.py": {"compare_images": "Wang"},
    "autods/metrics/resolution.py": {"frc_resolution": "Nieuwenhuizen", "ring_correlation": "Nieuwenhuizen"},
    "autods/networks/deepstorm.py": {"DeepStorm": "Nehme"},
    "autods/networks/ds3d.py": {"DS3D": "Nehme"},
    "autods/networks/losses.py": {"deepstorm_loss": "Nehme", "kde_loss": "Nehme"},
    "autods/networks/normalization.py": {"noise_std": "Immerk"},
    "autods/optics/crlb.py": {"fisher_information": "Huang"},
    "autods/optics/gaussian.py": {"DefocusCurve": "Huang"},
    "autods/optics/phase_masks.py": {"tetrapod_mask": "Shechtman", "double_helix_mask": "Gahlmann"},
    "autods/optics/pupil_psf.py": {"ScalarPSF": "Nehme", "VectorialPSF": "Mortensen"},
    "autods/optics/unwrap.py": {"unwrap_phase": "199"},
    "autods/optics/zernike.py": {"radial": "Noll"},
    "autods/postprocessing/precision.py": {"nena_precision": "Endesfelder"},
    "autods/representation/heatmap.py": {"HeatmapRepresentation": "Nehme"},
    "autods/representation/mixture.py": {"MixtureRepresentation": "Speiser"},
    "autods/simulation/noise.py": {"expose": "Basden"},
}


def test_everything_public_says_more_than_its_name() -> None:
    assert len(PUBLIC) > 1000
    assert not [one.place for one in PUBLIC if says_nothing(one)]


def test_the_parameters_are_those_of_the_signature() -> None:
    wrong = {
        one.place: sorted(wrong)
        for one in PUBLIC
        if (told := one.parameters())
        and (wrong := (set(told) ^ one.arguments()) - (set(told) & one.attributes()))
    }
    assert not wrong


def test_every_parameter_is_described_with_its_unit() -> None:
    wrong = [
        f"{one.place}: {name}: {said}"
        for one in PUBLIC
        for name, said in one.parameters().items()
        if not said or without_unit(name, said)
    ]
    assert not wrong


def test_no_long_description_stands_twice() -> None:
    """The public functions keep theirs, whose help is read by itself."""
    places: dict[str, list[str]] = {}
    for one in PUBLIC:
        for said in set(one.parameters().values()):
            if len(said.split()) >= 12 and not one.place.startswith("autods/api/"):
                places.setdefault(said, []).append(one.place)
    assert not {said: where for said, where in places.items() if len(where) > 1}


def test_every_array_has_a_shape() -> None:
    assert not [one.place for one in PUBLIC if takes_or_gives_arrays(one.node) and without_shape(one)]


def test_every_error_that_is_raised_is_told() -> None:
    wrong = {
        one.place: missing
        for one in PUBLIC
        if takes_errors(one) and (missing := {name for name in raised(one.node) if name not in one.text})
    }
    assert not wrong


def takes_errors(one: Documented) -> bool:
    """Commands and pages answer for their errors as a whole: see `autods.cli.faults`, `autods.web.routes`."""
    return not one.place.startswith(("autods/cli/", "autods/web/"))


def test_published_methods_name_their_source() -> None:
    said = {(one.place.partition(":")[0], one.node.name): one.text for one in PUBLIC}
    for path, methods in PUBLISHED.items():
        for name, author in methods.items():
            assert author in said[path, name], f"{path}: {name} does not name {author}"
            assert re.search(r"\b(19|20)\d\d\b", said[path, name]), f"{path}: {name}: say the year"
