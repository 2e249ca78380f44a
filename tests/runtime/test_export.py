"""SavedModels of the modes `export_score` and `export_infer`."""

import pytest
import tensorflow as tf

from primer.runtime import export
from tests.runtime import tiny


@pytest.mark.parametrize("mode", ["export_score", "export_infer"])
def test_exported_models_load_and_run(trained, tmp_path, mode):
    tiny.run(
        trained,
        f"utils.run.mode = '{mode}'",
        f"utils.run.export_path = '{tmp_path}'",
        "utils.run.batch_size = 2",
        "utils.run.sequence_length = {'inputs': 32, 'targets': 32}",
    )
    (directory,) = [p for p in tmp_path.iterdir() if (p / "saved_model.pb").exists()]
    with tf.Graph().as_default(), tf.compat.v1.Session() as sess:
        meta = tf.compat.v1.saved_model.load(sess, ["serve"], str(directory))
        signature = meta.signature_def["serving_default"]
        (feed,) = [info.name for info in signature.inputs.values()]
        fetch = {key: info.name for key, info in signature.outputs.items()}
        values = sess.run(fetch, {feed: ["line 3", "line 4"]})
    assert len(next(iter(values.values()))) == 2
    if mode == "export_score":
        assert (values["scores"] < 0).all()


def test_a_second_export_of_one_second_gets_its_own_directory(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(export.time, "time", lambda: now[0])
    monkeypatch.setattr(export.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    (tmp_path / "1000").mkdir()
    assert export._new_directory(str(tmp_path)) == str(tmp_path / "1001")
