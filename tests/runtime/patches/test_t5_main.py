"""t5's main with the model API."""

import types

import pytest
from absl import flags

from primer.errors import UsageError
from primer.runtime.patches import t5_main


def test_a_wrong_setting_is_one_line(monkeypatch, tmp_path, capsys):
    def main(arguments):
        raise UsageError("x = 1: expected 2")

    values = types.SimpleNamespace(
        use_model_api=True, mode="eval", model_dir=str(tmp_path), is_parsed=lambda: False
    )
    monkeypatch.setattr(flags, "FLAGS", values)
    module = types.SimpleNamespace(main=main)
    t5_main.patch(module)
    with pytest.raises(SystemExit) as ended:
        module.main([])
    assert ended.value.code == UsageError.exit_code
    assert "primer: x = 1: expected 2\n" in capsys.readouterr().err
