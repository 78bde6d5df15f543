"""3D that is compared with the truth in all it states: z, photons, density and errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import theilslopes

from autods.calibration.bead_calibration import BeadSettings
from autods.core import Camera, LocalizationTable, OpticalSystem
from autods.io.result_tables import Row, Table
from autods.io.tables import read_table
from autods.metrics.detection import detection_metrics
from autods.metrics.matching import match
from autods.optics import PSF_MODELS, PSFModel, tabulate
from autods.pipelines.autods3d import localize3d
from autods.pipelines.population import Population
from autods.pipelines.settings import CameraSettings, OpticsSettings
from autods.pipelines.settings3d import Localize3DSettings, PsfSettings, TrainingSettings
from benchmarks.measure import measured
from benchmarks.suite import SuiteResult
from benchmarks.trust_movies import EMCCD, SCMOS, Crowd, bead_psf, write_movie

_RADIUS_NM, _AXIAL_RADIUS_NM = 250.0, 500.0
_CHALLENGE = OpticalSystem(100.0, 660.0, 1.49)
_FORMULA = OpticalSystem(100.0, 670.0, 1.4)
_CHALLENGE_Z = "-750:750:151"
#: Limits of photons between which recall is told.
_BRIGHTNESS = (500.0, 1500.0, 4000.0)
CAMERAS = {"EMCCD": EMCCD, "sCMOS": SCMOS}


@dataclass(frozen=True)
class Line:
    """One movie of the suite.

    Parameters
    ----------
    psf
        A bead stack of the SMLM challenge, "beads_as" or "beads_dh", or a formula's name.
    density_per_um2, photons
        Of the emitters; the photons' median.
    reach_nm
        Depths on both sides of the focus.
    camera
        "EMCCD" or "sCMOS".
    background
        Photons per pixel.
    """

    psf: str
    density_per_um2: float
    photons: float = 2000.0
    reach_nm: float = 700.0
    camera: str = "EMCCD"
    background: float = 20.0


@dataclass(frozen=True)
class Trust3D:
    """The suite ``trust3d``.

    Parameters
    ----------
    lines
        Movies by name; None leaves one out.
    data
        Folder of the challenge's data; lines that need it are left out without.
    official
        Whether the challenge's own frames are localized too.
    training
        Family and length of each training; the shipped network that is told the PSF by default.
    until
        Last stage: "snr" measures photons and density alone.
    n_frames, size_px
        Of the simulated movies.
    folder
        Keeps the runs; None keeps nothing.
    device
        Where to compute.
    """

    lines: Mapping[str, Line | None] = field(default_factory=dict)
    data: Path | str | None = None
    official: bool = True
    training: TrainingSettings = field(default_factory=lambda: TrainingSettings(family="universal"))
    until: str = "localize"
    n_frames: int = 60
    size_px: int = 64
    folder: Path | str | None = None
    device: str = "auto"
    seed: int = 7
    name: str = "trust3d"

    def run(self) -> SuiteResult:
        """Simulate, run and compare."""
        rows: list[Row] = []
        with TemporaryDirectory(prefix="autods-trust-") as temporary:
            root = Path(temporary) if self.folder is None else Path(self.folder)
            if self.official and self.data is not None:
                rows.append(self._official(Path(self.data), root / "official"))
            for name, line in self.lines.items():
                if line is None or (line.psf.startswith("beads_") and self.data is None):
                    continue
                rows.append(self._one(name, line, root / name.replace(" ", "_")))
        notes = [
            f"{self.n_frames} frames of {self.size_px} px; molecules are on for 3 frames on average and"
            f" appear at any time; matches within {_RADIUS_NM:g} nm laterally and {_AXIAL_RADIUS_NM:g} nm"
            " axially. Bead stacks: frames are drawn through the mean bead interpolated, a photon of which is"
            " one within its cut-out; the run calibrates from the stack. Constant offsets between bead and"
            " model are removed from errors. Pull: deviations over the stated errors, 1.48 times their median"
            " modulus.",
            "Photons and density measured: over the true ones of a frame, before anything is trained.",
        ]
        return SuiteResult("3D against the truth", [Table("results", "Results", rows)], {}, notes)

    def _official(self, data: Path, folder: Path) -> Row:
        movie = data / "smlm2016/mt0_n1_ld_as_first64.tif"
        settings = self._settings(*known_source(Line("beads_as", 0.03), data), EMCCD)
        truth = read_table(movie.with_suffix(".csv"))
        return {"line": "official MT0.N1.LD", **self._scored(movie, truth, settings, folder, 6.4**2)}

    def _one(self, name: str, line: Line, folder: Path) -> Row:
        data = None if self.data is None else Path(self.data)
        movie, truth = write_line(line, data, folder / "movie", self.n_frames, self.size_px, self.seed)
        source, optics = known_source(line, data)
        settings = self._settings(source, optics, CAMERAS[line.camera])
        area = (self.size_px * optics.pixel_size_nm * 1e-3) ** 2
        return {"line": name, **self._scored(movie, read_table(truth), settings, folder / "run", area)}

    def _settings(self, source: PsfSettings, optics: OpticalSystem, camera: Camera) -> Localize3DSettings:
        return localize_settings(
            source,
            optics,
            camera,
            training=self.training,
            until=self.until,
            device=self.device,
        )

    def _scored(
        self,
        movie: Path,
        truth: LocalizationTable,
        settings: Localize3DSettings,
        folder: Path,
        area_um2: float,
    ) -> Row:
        with measured() as cost:
            found = localize3d(movie, settings, folder)
        with (folder / "stages/snr.json").open() as file:
            told = json.load(file)["results"]
        n_frames = int(truth.frame.max()) + 1
        row: dict[str, float] = {
            "per_um2": len(truth) / n_frames / area_um2,
            "photons": float(np.median(truth.photons)),
        }
        row["density_measured"] = told["density_per_um2"] / row["per_um2"]
        population = told["population"]
        median = 0.4 * told["photons"] if population is None else Population(**population).photons(0.0)
        row["photons_measured"] = median / row["photons"]
        if found is not None:
            row.update(scores(truth, found))
        return {**row, "minutes": cost.seconds / 60}


def write_line(
    line: Line, data: Path | None, folder: Path, n_frames: int, size_px: int, seed: int
) -> tuple[Path, Path]:
    """Write the movie of a line and its truth, and return both; see `write_movie`."""
    psf, region_px = _drawn_through(line, data)
    crowd = Crowd(line.density_per_um2, line.photons, background=line.background)
    reach = (-line.reach_nm, line.reach_nm)
    return write_movie(folder, psf, reach, region_px, crowd, CAMERAS[line.camera], n_frames, size_px, seed)


def _drawn_through(line: Line, data: Path | None) -> tuple[PSFModel, int]:
    """Return the PSF of a line's frames, and the side of what is drawn of an emitter, px."""
    if line.psf.startswith("beads_"):
        assert data is not None
        stack = data / f"smlm2016/{line.psf}.tif"
        psf = bead_psf(stack, EMCCD, _CHALLENGE.pixel_size_nm, np.linspace(-750, 750, 151))
        return psf, psf.coefficients.shape[-1] - 4
    exact = PSF_MODELS[line.psf](_FORMULA)
    with torch.no_grad():
        return tabulate(exact, -line.reach_nm, line.reach_nm, size_px=61, oversampling=2), 61


def known_source(line: Line, data: Path | None) -> tuple[PsfSettings, OpticalSystem]:
    """Return what a user knows of a line's PSF: bead stack or formula, and the microscope."""
    if line.psf.startswith("beads_"):
        assert data is not None
        stack = data / f"smlm2016/{line.psf}.tif"
        beads = PsfSettings(
            beads=stack, z_nm=_CHALLENGE_Z, origin="given", calibration=BeadSettings(scan="emitter")
        )
        return beads, _CHALLENGE
    formula = PsfSettings(
        formula=PSF_MODELS[line.psf],
        formula_text=line.psf,
        z_min_nm=-line.reach_nm,
        z_max_nm=line.reach_nm,
    )
    return formula, _FORMULA


def localize_settings(
    source: PsfSettings, optics: OpticalSystem, camera: Camera, **more: Any
) -> Localize3DSettings:
    """Return settings of a run for which microscope and camera are known; ``more`` are further ones."""
    known = {k: v for k, v in asdict(camera).items() if k in CameraSettings.__dataclass_fields__}
    return Localize3DSettings(source, OpticsSettings(**asdict(optics)), CameraSettings(**known), **more)


def scores(truth: LocalizationTable, found: LocalizationTable) -> dict[str, float]:
    """Compare localizations with the truth in all that they state."""
    detected = detection_metrics(
        truth, found, _RADIUS_NM, _AXIAL_RADIUS_NM, remove_axial_offset=True, remove_lateral_offset=True
    )
    pairs = match(truth, found, _RADIUS_NM, _AXIAL_RADIUS_NM)
    row = {
        "jaccard": detected.jaccard,
        "rmse_lateral_nm": detected.rmse_lateral_nm,
        "rmse_axial_nm": detected.rmse_axial_nm,
    }
    if len(pairs) < 5:
        return row
    true, seen = truth.select(pairs.truth_index), found.select(pairs.found_index)
    assert true.z_nm is not None
    assert seen.z_nm is not None
    assert seen.uncertainty_z_nm is not None
    # The median of the pairs' slopes: two molecules at one place make outliers.
    row["slope_z"] = float(theilslopes(seen.z_nm, true.z_nm)[0])
    row["pull_x"] = _pull(seen.x_nm - true.x_nm, seen.uncertainty_xy_nm)
    row["pull_y"] = _pull(seen.y_nm - true.y_nm, seen.uncertainty_xy_nm)
    row["pull_z"] = _pull(seen.z_nm - true.z_nm, seen.uncertainty_z_nm)
    row["photons_found"] = float(np.median(seen.photons / true.photons))
    return {**row, **recalls(truth, pairs.truth_index)}


def recalls(truth: LocalizationTable, found_rows: NDArray[np.int64]) -> dict[str, float]:
    """Return the share that was found of molecules from dim to bright."""
    was_found = np.zeros(len(truth), bool)
    was_found[found_rows] = True
    row = {}
    for low, high in zip(_BRIGHTNESS, (*_BRIGHTNESS[1:], np.inf), strict=True):
        group = (truth.photons >= low) & (truth.photons < high)
        row[f"recall_from_{low:.0f}"] = float(was_found[group].mean()) if group.any() else float("nan")
    return row


def _pull(error: NDArray[np.float64], stated: NDArray[np.float64]) -> float:
    """Return the robust width of errors over their stated standard deviations, about the constant offset."""
    return float(1.4826 * np.median(np.abs((error - np.median(error)) / stated)))
