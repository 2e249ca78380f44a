"""t5's and Mesh-TensorFlow's own ways to get text, for every architecture on the disk."""

import pytest

from tests import gin_models
from tests.runtime import tiny


def model_of(composition):
    """Gin that includes the files of a composition, as one layer of each kind."""
    architecture, overlay = composition
    lines = [f'include "{name}"' for name in gin_models.files(architecture, overlay=overlay)]
    lines += ["num_layers = 1", "num_evolved_blocks = 1"]
    if overlay:
        lines.append("block = [%attention, %experts]")
    return "\n".join(lines)


ALL = gin_models.compositions()


@pytest.mark.parametrize("composition", gin_models.as_params(ALL, lambda c: c == ALL[-1]))
def test_mtf_model_predicts_and_infer_writes(composition, tmp_path):
    model = model_of(composition)
    tiny.configure(model=model)
    trained = tiny.mtf_model_of(tmp_path)
    trained.train(tiny.TASK, steps=1)
    assert tiny.predicted(trained, tmp_path)
    written = tmp_path / "written.txt"
    tiny.run(
        tmp_path,
        "utils.run.mode = 'infer'",
        "utils.run.eval_checkpoint_step = 1",
        "infer_model.decode_fn = @decode_from_file",
        f"decode_from_file.input_filename = '{tmp_path / 'prompts.txt'}'",
        f"decode_from_file.output_filename = '{written}'",
        "utils.run.sequence_length = {'inputs': 32, 'targets': 32}",
        model=model,
    )
    assert list(tmp_path.glob("written.txt*"))[0].read_bytes()
