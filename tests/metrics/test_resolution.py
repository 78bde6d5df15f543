import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.signal.windows import tukey

from autods.core import LocalizationTable
from autods.metrics.decorrelation import decorrelation_resolution
from autods.metrics.image import density_image
from autods.metrics.resolution import (
    frc_resolution,
    ring_correlation,
    split_blocks,
    split_random,
)

SIDE_NM = 4000.0


def blinking_field(seed, repeats, sigma_nm, molecules=4000, frames=1000):
    """Molecules anywhere, each localized Poisson(repeats) times in consecutive frames with Gaussian error."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(repeats, molecules)
    owner = np.repeat(np.arange(molecules), counts)
    position = rng.uniform(0, SIDE_NM, (molecules, 2))[owner] + rng.normal(0, sigma_nm, (len(owner), 2))
    frame = rng.integers(0, frames, molecules)[owner] + np.concatenate([np.arange(n) for n in counts])
    return LocalizationTable.build(frame, position[:, 0], position[:, 1]), rng


def expected_correlation(q, repeats, sigma_nm):
    """Return the FRC of independent molecules split at random.

    With m = repeats / 2 Poisson localizations of each molecule in a half, cross power is m^2 G^2 and power
    m + m^2 G^2 per molecule, where G = exp(-2 pi^2 sigma^2 q^2).
    """
    signal = repeats / 2 * np.exp(-4 * np.pi**2 * sigma_nm**2 * q**2)
    return signal / (1 + signal)


@pytest.mark.parametrize(("repeats", "sigma_nm"), [(10, 10.0), (10, 20.0), (30, 20.0), (4, 15.0), (10, 40.0)])
def test_repeats_give_the_analytic_resolution(repeats, sigma_nm):
    table, rng = blinking_field(0, repeats, sigma_nm)
    result = frc_resolution(
        table, (SIDE_NM, SIDE_NM), pixel_size_nm=sigma_nm / 4, half=split_random(len(table), rng)
    )
    expected = 2 * np.pi * sigma_nm / np.sqrt(np.log(3 * repeats))
    assert result.resolution_nm == pytest.approx(expected, rel=0.15)
    assert result.reason == ""
    q = result.frequency_per_nm
    middle = (q > 0.3 / expected) & (q < 1.5 / expected)
    difference = result.smoothed - expected_correlation(q, repeats, sigma_nm)
    assert np.sqrt(np.mean(difference[middle] ** 2)) < 0.06


def test_half_bit_threshold():
    table, rng = blinking_field(1, 20, 20.0)
    result = frc_resolution(
        table,
        (SIDE_NM, SIDE_NM),
        pixel_size_nm=5.0,
        half=split_random(len(table), rng),
        threshold="half-bit",
    )

    def above(q):
        root = np.sqrt(2 * np.pi * q * SIDE_NM)
        return expected_correlation(q, 20, 20.0) - (0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root)

    assert result.resolution_nm == pytest.approx(1 / brentq(above, 1 / 500, 1 / 20), rel=0.15)


def test_halves_that_keep_repeats_together_see_no_structure():
    """A random field has no structure: only the random split invents a resolution from the repeats."""
    table, _ = blinking_field(2, 10, 20.0)
    half = split_blocks(table.frame)
    result = frc_resolution(table, (SIDE_NM, SIDE_NM), pixel_size_nm=10.0, half=half)
    assert np.isnan(result.resolution_nm)
    assert "do not correlate" in result.reason
    assert np.abs(result.smoothed[20:]).max() < 0.15


#: Ends (8, 2, 2) of line segments within the central half of the field.
SEGMENTS_NM = np.random.default_rng(5).uniform(0.25 * SIDE_NM, 0.75 * SIDE_NM, (8, 2, 2))


def filament_power(q):
    """Power spectrum of the eight segments, averaged over the ring: a segment transforms to a sinc."""
    angle = np.linspace(0, np.pi, 4000, endpoint=False)
    wave = q * np.stack([np.cos(angle), np.sin(angle)])
    centre, extent = SEGMENTS_NM.mean(1), SEGMENTS_NM[:, 1] - SEGMENTS_NM[:, 0]
    transform = (np.exp(-2j * np.pi * centre @ wave) * np.sinc(extent @ wave)).mean(0)
    return (np.abs(transform) ** 2).mean()


@pytest.mark.parametrize("sigma_nm", [10.0, 25.0])
def test_filaments_give_the_expected_resolution(sigma_nm):
    """Without repeats, FRC = N/2 S G^2 / (1 + N/2 S G^2), S the power spectrum of the structure."""
    n = 8000
    rng = np.random.default_rng(0)
    line, along = rng.integers(0, 8, n), rng.random((n, 1))
    xy = SEGMENTS_NM[line, 0] * (1 - along) + SEGMENTS_NM[line, 1] * along + rng.normal(0, sigma_nm, (n, 2))
    table = LocalizationTable.build(rng.integers(0, 2000, n), xy[:, 0], xy[:, 1])
    result = frc_resolution(table, (SIDE_NM, SIDE_NM), pixel_size_nm=5.0)

    frequencies = np.linspace(1 / 200, 1 / 15, 100)
    precision = np.exp(-4 * np.pi**2 * sigma_nm**2 * frequencies**2)
    signal = n / 2 * precision * np.array([filament_power(q) for q in frequencies])
    crossing = frequencies[np.flatnonzero(signal / (1 + signal) < 1 / 7)[0]]
    assert result.resolution_nm == pytest.approx(1 / crossing, rel=0.15)


@pytest.mark.parametrize("sigma_nm", [25.0, 40.0])
def test_agrees_with_decorrelation_analysis(sigma_nm):
    """Two methods that share nothing but the table; they define resolution differently, hence the margin."""
    n, rng = 100_000, np.random.default_rng(0)
    line, along = rng.integers(0, 8, n), rng.random((n, 1))
    xy = SEGMENTS_NM[line, 0] * (1 - along) + SEGMENTS_NM[line, 1] * along + rng.normal(0, sigma_nm, (n, 2))
    table = LocalizationTable.build(rng.integers(0, 2000, n), xy[:, 0], xy[:, 1])
    rings = frc_resolution(table, (SIDE_NM, SIDE_NM))
    image = density_image(table, (SIDE_NM, SIDE_NM), 10.0)
    assert decorrelation_resolution(image, 10.0).resolution_nm == pytest.approx(rings.resolution_nm, rel=0.25)


def test_equal_and_shifted_images():
    image = np.random.default_rng(0).random((65, 96))
    same = ring_correlation(image, image, 10.0)
    assert same.correlation[1:] == pytest.approx(1, abs=1e-5)
    assert np.isnan(same.resolution_nm)
    assert "smallest detail" in same.reason
    assert ring_correlation(image, -image, 10.0).correlation[3:] == pytest.approx(-1, abs=1e-5)
    assert len(same.frequency_per_nm) == 48
    assert same.frequency_per_nm[-1] == pytest.approx(47 / 960)
    with pytest.raises(ValueError, match="shapes"):
        ring_correlation(image, image.T, 10.0)


def test_ring_sums_equal_full_transform():
    """Independent reference: a loop over the rings of the full transform."""
    rng = np.random.default_rng(1)
    a, b = rng.random((2, 32, 48))
    result = ring_correlation(a, b, 10.0)
    window = np.outer(tukey(32, 0.25), tukey(48, 0.25))
    fa, fb = (np.fft.fft2((image - image.mean()) * window) for image in (a, b))
    radius = np.hypot(np.fft.fftfreq(32)[:, None] * 48, np.fft.fftfreq(48)[None] * 48)
    for ring in range(1, 24):
        here = np.rint(radius) == ring
        cross = (fa[here] * fb[here].conj()).sum().real
        norm = np.sqrt((np.abs(fa[here]) ** 2).sum() * (np.abs(fb[here]) ** 2).sum())
        assert result.correlation[ring] == pytest.approx(cross / norm, abs=1e-4)


def test_splits():
    frame = np.repeat(np.arange(100), 3)
    assert split_blocks(frame, n_blocks=2).tolist() == (frame >= 50).tolist()
    assert split_blocks(frame, n_blocks=100).tolist() == (frame % 2 == 1).tolist()
    assert split_blocks(frame[:0]).tolist() == []
    assert split_random(301, np.random.default_rng(0)).sum() == 150


def test_empty_table():
    result = frc_resolution(LocalizationTable.empty(), (1000.0, 1000.0))
    assert np.isnan(result.resolution_nm)
    assert result.reason
