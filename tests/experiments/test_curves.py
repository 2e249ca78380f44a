"""Learning curves, from made-up numbers."""

from primer.experiments import curves
from tests.experiments.results import BASE, result


def test_curves_are_an_image_of_two_panels(tmp_path):
    path = tmp_path / "curves.png"
    curves.draw_curves([BASE, result("primer", [5.0, 4.5, 3.5])], "title", str(path))
    from matplotlib import image

    pixels = image.imread(path)
    assert pixels.shape[1] > 2 * pixels.shape[0] and pixels.shape[2] == 4
    # Both halves have the color of each curve.
    for half in (pixels[:, : pixels.shape[1] // 2], pixels[:, pixels.shape[1] // 2 :]):
        for color in curves.COLORS[:2]:
            expected = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
            assert (abs(half[..., :3] - expected).max(-1) < 0.02).sum() > 50
