"""t5's model API does not run the code that a model directory's own gin file names."""

import gin
import pytest

from primer.errors import UsageError
from primer.runtime import import_hook

import_hook.install()

from t5.models import mtf_model  # noqa: E402


def test_a_directory_that_runs_code_is_refused(tmp_path, monkeypatch):
    (tmp_path / "harm.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = tmp_path / "operative_config.gin"
    config.write_text("import harm\n")
    with pytest.raises(UsageError, match="imports the Python module 'harm'"):
        mtf_model._parse_operative_config(str(tmp_path))
    assert not (tmp_path / "ran").exists()
    config.write_text("d_model = 24\n")
    mtf_model._parse_operative_config(str(tmp_path))
    assert gin.query_parameter("%d_model") == 24
