"""The figure of the coordinate check has a column for each part and a line for each step."""

import math

import pytest
from matplotlib import pyplot

from primer.experiments import coordinate_plot
from primer.planning.coordinates import growth
from primer.planning.coordinates.activations import Output
from primer.planning.coordinates.coordinate_check import CoordinateCheck

WIDTHS = [32, 64, 128]
PARTS = [("embedding", "embedding"), ("a", "attention"), ("b", "attention"), ("logits", "logits")]


def result(base_width=32, value=1.0):
    outputs = [
        [
            Output(name, part, "", [value * width, 2.0, 4.0], [0.0, 0.1, 0.2 * width])
            for name, part in PARTS
        ]
        for width in WIDTHS
    ]
    grown = growth.of_outputs(WIDTHS, outputs)
    return CoordinateCheck(WIDTHS, base_width, "@AdamWOptimizer", 0.01, 2, 3, 512, grown)


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """A function (result): the figure, which is left open."""

    def draw(checked):
        monkeypatch.setattr(pyplot, "close", lambda figure: None)
        coordinate_plot.draw_coordinates(checked, str(tmp_path / "coordinates.png"))
        assert (tmp_path / "coordinates.png").read_bytes().startswith(b"\x89PNG")
        return pyplot.gcf()

    yield draw
    monkeypatch.undo()
    pyplot.close("all")


def test_a_line_is_the_mean_of_a_parts_layers_after_a_number_of_steps(drawn):
    figure = drawn(result())
    panels = figure.axes
    assert [panel.get_title() for panel in panels[:3]] == ["embedding", "attention", "logits"]
    sizes, changes = panels[1].get_lines(), panels[4].get_lines()
    assert [line.get_label() for line in sizes] == ["0 steps", "1 step", "2 steps"]
    assert sizes[0].get_ydata() == pytest.approx(WIDTHS)
    assert [line.get_label() for line in changes] == ["1 step", "2 steps"]
    assert changes[1].get_ydata() == pytest.approx([0.2 * width for width in WIDTHS])


def test_a_flat_line_has_room(drawn):
    low, high = drawn(result()).axes[3].get_ylim()
    assert high / low >= 10 * (1 - 1e-9)


def test_the_title_says_what_was_run_and_found(drawn):
    text = drawn(result()).get_suptitle()
    assert text == "AdamWOptimizer, learning rate 0.01, base_width 32: not flat"
    assert "no base_width" in drawn(result(None)).get_suptitle()


def test_a_value_that_is_no_number_is_not_drawn(drawn):
    line = drawn(result(value=math.nan)).axes[0].get_lines()[0]
    assert all(map(math.isnan, line.get_ydata()))
