"""docs/models.md lists every published model with its exact count, and the rungs of the ladder."""

import re

from primer.gin_config import config_files
from primer.layers import ladder
from tests import gin_models
from tests.gin import transformer_xl_counts
from tests.gin.published_counts import PUBLISHED, gpt2
from tests.gin.test_models import ORIGINAL
from tests.gin.transformer_xl_counts import PAPER, SCRIPTS
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| ([\d,]+) \|(?: ([\d,]+) \|)?(?: ([\d,.]+) \|)?", re.MULTILINE)


def rows():
    """Returns {name: the numbers of its row, as text} of all tables."""
    return {name: [text for text in numbers if text] for name, *numbers in ROW.findall(PAGE)}


def test_every_published_model_has_its_count():
    for name, model in PUBLISHED.items():
        assert rows()[name] == [f"{model.parameters:,}", f"{model.vocabulary:,}"], name
    for name, count in ORIGINAL.items():
        assert rows()[name] == [f"{count:,}"], name


def test_every_rung_has_its_depth_width_and_parameters():
    names = [n for n in config_files.names_of_kind("sizes") if n.startswith("ladder_")]
    for name in names:
        depth = gin_models.slots(config_files.gin_file("sizes", name))["depth"]
        width = ladder.ladder_sizes(depth)["d_model"]
        millions = 12 * depth * width**2 / 1e6
        assert rows()[name] == [str(depth), f"{width:,}", f"{millions:,.1f}"], name
    assert set(rows()) == {*PUBLISHED, *ORIGINAL, *SCRIPTS, *names}


def test_every_recipe_of_transformer_xl_has_the_parts_of_its_count():
    for name, script in SCRIPTS.items():
        tables, *projections = transformer_xl_counts.embedding(script)
        parts = [transformer_xl_counts.layers(script), tables, sum(projections)]
        parts += [transformer_xl_counts.softmax(script), transformer_xl_counts.parameters(script)]
        cells = [f" {part:,}" if part else "" for part in parts]
        assert f"| `{name}` |{' |'.join(cells)} |" in PAGE, name
    for model in PAPER.values():
        assert f"{transformer_xl_counts.parameters(model):,}" in PAGE


def test_the_other_readings_of_gpt3s_table_are_counted():
    assert f"{gpt2(2048, 24, 2048, channels=24 * 128):,}" in PAGE
    assert f"{gpt2(5120, 40, 2048):,}" in PAGE
