"""The histogram of document lengths, as matplotlib has drawn it."""

import matplotlib.figure
import pytest

from primer.commands.data import plot
from primer.data.inspection import SplitStatistics
from primer.data.prepared.counts import Counts


@pytest.fixture
def drawn(monkeypatch):
    """A list of the figures that were saved."""
    figures = []
    monkeypatch.setattr(
        matplotlib.figure.Figure, "savefig", lambda figure, path: figures.append(figure)
    )
    return figures


@pytest.mark.parametrize("lengths", [{0: 2, 1: 1, 100: 7}, {5: 3}])
def test_bars_are_the_documents(drawn, lengths):
    found = SplitStatistics(Counts())
    found.lengths.update(lengths)
    found.counts.examples = sum(lengths.values())
    found.counts.tokens = sum(size * number for size, number in lengths.items())
    plot.draw_lengths("lengths.png", found, "text, train split")
    (axes,) = drawn[0].axes
    heights = [bar.get_height() for bar in axes.patches]
    assert sum(heights) == found.counts.examples and max(heights) == max(lengths.values())
    for bar in axes.patches:
        low, high = bar.get_x(), bar.get_x() + bar.get_width()
        inside = sum(n for size, n in lengths.items() if low <= max(size, 0.5) < high - 1e-9)
        assert bar.get_height() == inside
    (median,) = axes.lines
    assert median.get_xdata()[0] == max(found.quantile(0.5), 0.5)
    left, right = axes.get_xlim()
    assert left < 1 and right > max(lengths) or len(lengths) == 1 and right / left > 8
    documents = f"{found.counts.examples} documents, {found.counts.tokens} tokens"
    assert axes.get_title() == f"text, train split: {documents}"
