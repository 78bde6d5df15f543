"""One batch of every 3D training, through the program's own way of composing and building it."""

import pytest

from autods.cli.train import run
from autods.configuration.compose import compose_checked

SMALL = [
    "network.args.width=8",
    "conditions.edge_px=3",
    "conditions.n_emitters=[1,4]",
    "data.size_px=24",
    "data.batch_size=2",
    "data.batches_per_epoch=2",
    "data.validation_batches=1",
    "trainer.accelerator=cpu",
    "trainer.fast_dev_run=true",
    "trainer.progress_bar=false",
]
FEW_SLICES = ["representation.args.n_slices=6"]
FAST_PSF = ["psf=astigmatic_gaussian"]


@pytest.mark.parametrize(
    ("experiment", "more"),
    [
        ("nairr", []),
        ("autods3d", [*FAST_PSF, *FEW_SLICES]),
        ("autods3d", ["representation=binary_voxels", *FAST_PSF, *FEW_SLICES]),
        (
            "autods3d",
            [
                "representation=binary_voxels",
                "representation.args.upsampling=1",
                *FAST_PSF,
                *FEW_SLICES,
                "preset=paper",
            ],
        ),
        ("autods3d", ["network=dilated", "representation=mixture3d", *FAST_PSF, "preset=cpu_quick"]),
    ],
)
def test_one_batch(experiment, more, tmp_path):
    config = compose_checked("train", [f"experiment=ds3d/{experiment}", f"out={tmp_path}", *SMALL, *more])
    assert 0 <= run(config) <= 1
    assert (tmp_path / "config.yaml").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("psf", ["astigmatism", "double_helix", "tetrapod", "vectorial", "tabulated"])
def test_every_psf_can_be_trained_on(psf, tmp_path):
    words = [
        "experiment=ds3d/autods3d",
        "network=dilated",
        "representation=mixture3d",
        f"psf={psf}",
        f"out={tmp_path}",
        *SMALL,
    ]
    assert 0 <= run(compose_checked("train", words)) <= 1
