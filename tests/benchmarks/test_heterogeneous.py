import dataclasses

import numpy as np
import pytest
import torch

from autods.core import LocalizationTable, UserError
from autods.zoo import load_model
from autods.zoo.registry import save_model
from benchmarks.contenders import Contender, available, settings_for, timed_localize, zoo_cards
from benchmarks.fields import HeterogeneousConditions, heterogeneous_field
from benchmarks.heterogeneous import (
    Heterogeneous,
    assemble,
    choose_oracle,
    choose_patches,
    common_fraction,
)
from tests.pipelines.models import write_zoo


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """Matched filters of four sensitivities: the models differ, and the dim ones find false emitters."""
    root = write_zoo(tmp_path_factory.mktemp("zoo"))
    for index, card in enumerate(zoo_cards(root)):
        network = load_model(card)
        network.trunk.neck[1].bias.data += 0.8 * (index - 2)
        save_model(dataclasses.replace(card, folder=None), network, card.folder)
    return root


@pytest.fixture(scope="module")
def field():
    conditions = HeterogeneousConditions("uniform", n_cells=2, cell_um=5, n_frames=6, snr=(4, 12))
    return heterogeneous_field(conditions, torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def suite(zoo):
    return Heterogeneous(
        structures=["uniform"], n_fields=1, n_frames=3, n_cells=2, zoo=zoo, device="cpu", image_pixel_nm=100
    )


@pytest.fixture(scope="module")
def parts(suite, zoo, field):
    """Plan with patches of 5 um, and the table of each model alone."""
    cards = zoo_cards(zoo)
    plan = suite._plan(field, "heatmap", cards, zoo)
    return plan, {card.name: suite._alone(field, "heatmap", card, zoo) for card in cards}


def test_what_is_put_together_is_what_the_pipeline_gives(suite, zoo, field, parts):
    plan, alone = parts
    contender = Contender("heatmap", "snr")
    own, _ = timed_localize(
        field.frames, settings_for(contender, field.optics.pixel_size_nm, field.camera, zoo, "cpu")
    )
    together = assemble(plan, choose_patches(plan, "snr"), alone)
    assert len(own) > 50
    assert common_fraction(own, together) > 0.97
    assert common_fraction(together, own) > 0.97
    assert common_fraction(own, own.select(np.arange(len(own)) % 2 == 0)) == pytest.approx(0.5, abs=0.01)


def test_the_oracle_is_at_least_as_good_as_each_model_in_each_patch(field, parts):
    from autods.metrics.detection import detection_metrics

    plan, alone = parts
    models = choose_oracle(plan, field.truth, alone, 200)
    assert set(models) <= set(alone)
    best = detection_metrics(field.truth, assemble(plan, models, alone)).jaccard
    single = [detection_metrics(field.truth, table).jaccard for table in alone.values()]
    # Jaccard indices of patches do not add up exactly to that of the field.
    assert best >= max(single) - 0.01
    assert max(single) - min(single) > 0.02


def test_the_suite_compares_rules_models_and_oracle(suite):
    result = suite.run()
    choices = {row["choice"] for row in result.tables[0].rows}
    rules = {f"heatmap, {rule}" for rule in ("average", "density", "snr", "nearest", "oracle")}
    assert choices == rules | {f"level_{level}" for level in range(1, 5)}
    assert set(result.figures) == {"rules", "field_uniform"}
    assert any("% of the" in note for note in result.notes)
    paired_rows = result.tables[1].rows
    assert {row["choice"] for row in paired_rows} == choices - {"heatmap, average"}
    oracle = next(row for row in paired_rows if row["choice"] == "heatmap, oracle")
    scores = {row["choice"]: row["jaccard"] for row in result.tables[0].rows}
    expected = scores["heatmap, oracle"] - scores["heatmap, average"]
    assert oracle["jaccard"] == pytest.approx(expected)
    counts = result.tables[3].rows
    assert all(sum(int(row[f"level_{level}"]) for level in range(1, 5)) == 4 for row in counts)


def test_an_empty_table_has_nothing_in_common():
    table = LocalizationTable.build(np.array([0]), np.array([1.0]), np.array([2.0]))
    assert common_fraction(table, LocalizationTable.empty()) == 0
    assert common_fraction(LocalizationTable.empty(), LocalizationTable.empty()) == 1


def test_contenders(zoo):
    fielded, notes = available(
        ["heatmap", "mixture/nearest", "heatmap/fixed:level_2+mle", "heatmap/fixed:no"], zoo
    )
    assert [contender.name for contender in fielded] == ["heatmap", "heatmap/fixed:level_2+mle"]
    assert len(notes) == 2
    for unknown in ("voxels", "heatmap+more"):
        with pytest.raises(UserError, match="write heatmap or mixture"):
            available([unknown], zoo)
    with pytest.raises(UserError, match="no model for mixture"):
        available(["mixture"], zoo)
