"""Cards for the tests: the four models of table 2 of the design, and families of other sizes."""

from autods.estimation.patch import PatchProfile
from autods.zoo.card import CardOptics, Component, ModelCard, Span

TABLE_2 = {"diff_1": (0.5, 8.0), "diff_2": (1.0, 6.0), "diff_3": (1.5, 4.0), "diff_4": (2.0, 2.0)}


def make_card(name: str, density: float, snr: float, **changes: object) -> ModelCard:
    values: dict[str, object] = {
        "family": "heatmap",
        "network": Component("SubpixelNet", {}),
        "representation": Component("HeatmapRepresentation", {"pixel_size_nm": 100.0, "upsampling": 8}),
        "normalization": "patch",
        "optics": CardOptics(pixel_size_nm=100.0, psf_sigma_nm=120.0, wavelength_nm=660.0, na=1.4),
        "density_per_um2": Span(density, density / 2, density * 1.5),
        "snr": Span(snr, snr / 2, snr * 1.5),
        "threshold": 12.5,
    }
    return ModelCard(name=name, **{**values, **changes})  # type: ignore[arg-type]


def table_2() -> list[ModelCard]:
    return [make_card(name, *values) for name, values in TABLE_2.items()]


def make_profile(density: float, snr: float) -> PatchProfile:
    return PatchProfile(
        density_per_um2=density,
        density_published_per_um2=density,
        snr=snr,
        snr_published=snr,
        noise_std=1.0,
        background=100.0,
        psf_sigma_px=1.2,
        n_candidates=10,
        n_frames=5,
        is_empty=False,
        empty_fraction=0.0,
    )
