import numpy as np
import pytest
import torch

from autods.core import LocalizationTable
from autods.metrics.detection import detection_metrics
from autods.metrics.torch_metrics import DetectionMetric
from tests.metrics.reference import random_tables


def update(metric, part):
    tf, t, ff, f = part
    metric.update(torch.tensor(ff), torch.tensor(f), torch.tensor(tf), torch.tensor(t))


@pytest.mark.parametrize("dims", [2, 3])
def test_batches_add_up_to_the_whole(dims):
    tf, t, ff, f = random_tables(0, dims=dims, side_nm=1500.0)
    axial = 300.0 if dims == 3 else None
    metric = DetectionMetric(radius_nm=200.0, axial_radius_nm=axial)
    for low, high in [(0, 6), (6, 15), (15, 99)]:
        here, found = (tf >= low) & (tf < high), (ff >= low) & (ff < high)
        update(metric, (tf[here] - low, t[here], ff[found] - low, f[found]))
    z = (t[:, 2], f[:, 2]) if dims == 3 else (None, None)
    whole = detection_metrics(
        LocalizationTable.build(tf, t[:, 0], t[:, 1], z_nm=z[0]),
        LocalizationTable.build(ff, f[:, 0], f[:, 1], z_nm=z[1]),
        200.0,
        axial,
    )
    for name, value in metric.compute().items():
        np.testing.assert_allclose(value, getattr(whole, name), rtol=1e-4, atol=1e-3, err_msg=name)


def test_reset_and_empty_batches():
    metric = DetectionMetric()
    none = torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3)
    metric.update(*none, *none)
    assert metric.compute()["jaccard"] == 0
    one = torch.zeros(1, dtype=torch.int64), torch.zeros(1, 3)
    metric.update(*one, *one)
    assert metric.compute()["jaccard"] == 1
    metric.reset()
    metric.update(*none, *one)
    assert metric.compute()["recall"] == 0
