import numpy as np
import pytest
from scipy.ndimage import correlate1d, gaussian_filter

from autods.core import LocalizationTable
from autods.metrics.image import compare_images, density_image, image_metrics, ms_ssim_scales, normalize_image
from tests.metrics import scorer
from tests.metrics.reference import random_tables


def tables(seed, side_nm=3200.0):
    tf, t, ff, f = random_tables(seed, side_nm=side_nm, n_frames=40)
    return LocalizationTable.build(tf, t[:, 0], t[:, 1]), LocalizationTable.build(ff, f[:, 0], f[:, 1])


def reference_ssim(a, b, full):
    """Return SSIM (or its contrast-structure part): 11 pixel window, sigma 1.5, whole windows only."""
    taps = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))

    def mean(image):
        for axis in (0, 1):
            image = correlate1d(image, taps / taps.sum(), axis=axis)
        return image[5:-5, 5:-5]

    mu_a, mu_b = mean(a), mean(b)
    var_a, var_b, cov = mean(a * a) - mu_a**2, mean(b * b) - mu_b**2, mean(a * b) - mu_a * mu_b
    contrast = (2 * cov + 0.03**2) / (var_a + var_b + 0.03**2)
    luminance = (2 * mu_a * mu_b + 0.01**2) / (mu_a**2 + mu_b**2 + 0.01**2)
    return (contrast * luminance if full else contrast).mean()


def reference_ms_ssim(a, b):
    value = 1.0
    for scale, beta in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        value *= max(reference_ssim(a, b, scale == 4), 0) ** beta
        rows, columns = a.shape[0] // 2 * 2, a.shape[1] // 2 * 2
        a, b = (x[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).mean((1, 3)) for x in (a, b))
    return value


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_scorer(seed):
    truth, found = tables(seed)
    columns = [np.c_[table.frame, table.x_nm, table.y_nm] for table in (truth, found)]
    reference = scorer.psnr(*columns, 3200.0)
    ours = image_metrics(truth, found, (3200.0, 3200.0))
    assert ours.psnr == pytest.approx(reference["psnr"], abs=6e-3)
    assert ours.nrmse == pytest.approx(reference["nrmse"], abs=6e-4)


@pytest.mark.parametrize("shape", [(256, 256), (201, 333)])
def test_ms_ssim_equals_reference(shape):
    rng = np.random.default_rng(0)
    a = normalize_image(rng.poisson(0.1, shape), 2.0)
    b = np.clip(a + gaussian_filter(rng.normal(0, 1, shape), 1.0) * 0.3, 0, 1)
    ours = compare_images(a, b)
    assert ours.ms_ssim_scales == 5
    assert 0.2 < ours.ms_ssim < 0.98
    # torchmetrics reflects at the edge before cropping, which changes nothing that is kept.
    assert ours.ms_ssim == pytest.approx(reference_ms_ssim(a, b), abs=2e-3)


def test_equal_images():
    truth, _ = tables(0)
    same = image_metrics(truth, truth, (3200.0, 3200.0))
    assert same.psnr == float("inf")
    assert same.nrmse == 0
    assert same.ms_ssim == pytest.approx(1)


def test_worse_precision_scores_worse():
    rng = np.random.default_rng(0)
    truth, _ = tables(0)

    def jitter(nm):
        xy = (column + rng.normal(0, nm, len(truth)) for column in (truth.x_nm, truth.y_nm))
        return image_metrics(truth, LocalizationTable.build(truth.frame, *xy), (3200.0, 3200.0))

    results = [jitter(nm) for nm in (5.0, 20.0, 80.0)]
    for name, sign in (("psnr", -1), ("nrmse", 1), ("ms_ssim", -1)):
        assert (np.diff([getattr(result, name) for result in results]) * sign > 0).all()


@pytest.mark.parametrize(
    ("side", "scales"),
    [(176, 5), (175, 4), (99, 4), (98, 3), (44, 3), (43, 2), (22, 2), (21, 1), (11, 1), (10, 0)],
)
def test_small_images_use_fewer_scales(side, scales):
    rng = np.random.default_rng(0)
    a, b = rng.random((2, side, side + 7))
    assert ms_ssim_scales(side) == scales
    result = compare_images(a, b)
    assert result.ms_ssim_scales == scales
    assert np.isnan(result.ms_ssim) == (scales == 0)


def test_histogram_orientation_and_edges():
    table = LocalizationTable.build(np.zeros(3), np.array([30.0, 100.0, -5.0]), np.array([5.0, 10.0, 5.0]))
    image = density_image(table, (20.0, 100.0), 10.0)
    assert image.shape == (2, 10)
    assert image[0, 3] == 1
    assert image[1, 9] == 1
    assert image.sum() == 2


def test_empty_table_and_shape_mismatch():
    truth, _ = tables(0)
    nothing = image_metrics(truth, LocalizationTable.empty(), (3200.0, 3200.0))
    assert nothing.nrmse == pytest.approx(1)
    with pytest.raises(ValueError, match="do not compare"):
        compare_images(np.zeros((20, 20)), np.zeros((20, 21)))
