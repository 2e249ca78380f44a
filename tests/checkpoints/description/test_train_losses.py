"""`train_losses.csv`: sessions that resume, kills, and a disk that is full."""

import math

import numpy as np

from primer.checkpoints.description import train_losses


def record(model_dir, start, steps, norm=None):
    with train_losses.Recorder(str(model_dir), start) as losses:
        for step in steps:
            losses.add(step, 10 / step, norm)


def test_a_session_that_resumes_repeats_no_step(tmp_path):
    record(tmp_path, 0, range(1, 8), norm=0.5)
    record(tmp_path, 5, range(6, 11))
    found = train_losses.read(str(tmp_path))
    assert found.steps.tolist() == list(range(1, 11))
    assert np.allclose(found.losses, [10 / step for step in range(1, 11)], rtol=1e-5)
    assert found.gradient_norms[:5].tolist() == [0.5] * 5
    assert np.isnan(found.gradient_norms[5:]).all()
    record(tmp_path, 0, [1, 2])
    assert (tmp_path / train_losses.NAME).read_text() == "step,loss,gradient_norm\n1,10,\n2,5,\n"


def test_a_kill_leaves_whole_lines(tmp_path):
    record(tmp_path, 0, [1, 2, 3])
    path = tmp_path / train_losses.NAME
    path.write_text(path.read_text() + "4,2.")
    assert train_losses.read(str(tmp_path)).steps.tolist() == [1, 2, 3]
    record(tmp_path, 3, [4])
    assert train_losses.read(str(tmp_path)).losses.tolist()[-1] == 2.5
    path.write_text(path.read_text() + "nonsense\n6,1.5\n7,nan,inf\n")
    found = train_losses.read(str(tmp_path))
    assert found.steps.tolist() == [1, 2, 3, 4, 7] and math.isnan(found.losses[-1])


def test_lines_are_written_while_training_goes_on(tmp_path):
    losses = train_losses.Recorder(str(tmp_path), 0)
    losses.add(1, 3.0)
    assert train_losses.read(str(tmp_path)) is None
    losses.flush()
    assert train_losses.read(str(tmp_path)).steps.tolist() == [1]
    losses._written -= 60
    losses.add(2, 3.0)
    assert train_losses.read(str(tmp_path)).steps.tolist() == [1, 2]


def test_a_directory_without_them(tmp_path):
    assert train_losses.read(str(tmp_path)) is None


def test_what_cannot_be_written_does_not_end_training(tmp_path, capsys):
    losses = train_losses.Recorder(str(tmp_path / "none"), 0)
    losses.add(1, 3.0)
    losses.flush()
    losses.add(2, 3.0)
    losses.flush()
    assert capsys.readouterr().err.count("cannot be written") <= 1
