"""Sentences, tables and curves of a comparison, from made-up numbers."""

import io
import math

import pytest

from primer.experiments import comparison, curves, tables


def result(name, losses, speed=1.0):
    rows = [
        {
            "step": 10 * n,
            "tokens_trained": 1000 * n,
            "seconds": 5.0 * n / speed,
            "nats_per_token": loss,
            "perplexity_per_token": math.exp(loss),
            "bits_per_byte": loss / 3,
            "perplexity_per_word": math.exp(1.3 * loss),
        }
        for n, loss in enumerate(losses, 1)
    ]
    return {
        "name": name,
        "label": name.title(),
        "parameters": 1234,
        "learning_rate": 0.02,
        "how": "Whole validation split: cut somehow.",
        "checkpoints": rows,
    }


BASE = result("transformer", [6.0, 5.0, 4.0])


def test_when_a_curve_arrives():
    rows = BASE["checkpoints"]
    assert comparison.seconds_to_reach(rows, 4.0) == 15.0
    assert comparison.seconds_to_reach(rows, 4.5) == pytest.approx(12.5)
    assert comparison.seconds_to_reach(rows, 7.0) == 5.0
    assert comparison.seconds_to_reach(rows, 3.9) is None


def test_a_better_and_slower_model():
    better = result("primer", [5.5, 4.0, 3.0], speed=0.5)
    tokens, time = comparison.comparison_sentences([BASE, better])
    assert "After the same 3,000 tokens: Primer 20.1, Transformer 54.6" in tokens
    assert "(63.2% lower)" in tokens
    assert "took 2.00 times the Transformer's time" in time
    assert "at about 1.33 of the Transformer's time" in time


def test_a_worse_model_is_called_worse():
    worse = result("primer", [6.5, 5.5, 4.5])
    tokens, time = comparison.comparison_sentences([BASE, worse])
    assert "% higher" in tokens
    assert "did not reach the Transformer's last loss" in time


def test_tables_hold_the_numbers():
    out = io.StringIO()
    other = result("primer", [5.0, 4.5, 3.5])
    tables.print_tables([BASE, other], ["Seen one.", "Seen two."], file=out)
    text = out.getvalue()
    for expected in ("54.6    15 s", "33.1    15 s", "3.5000", "1,234", "0.02", "- Seen two."):
        assert expected in text
    assert "Whole validation split: cut somehow." in text


def test_curves_are_a_picture_of_two_panels(tmp_path):
    path = tmp_path / "curves.png"
    curves.draw_curves([BASE, result("primer", [5.0, 4.5, 3.5])], "title", str(path))
    from matplotlib import image

    pixels = image.imread(path)
    assert pixels.shape[1] > 2 * pixels.shape[0] and pixels.shape[2] == 4
    # Each color of a curve is there, in both halves.
    for half in (pixels[:, : pixels.shape[1] // 2], pixels[:, pixels.shape[1] // 2 :]):
        for color in curves.COLORS[:2]:
            wanted = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
            assert (abs(half[..., :3] - wanted).max(-1) < 0.02).sum() > 50
