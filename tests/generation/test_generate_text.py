"""`generate_text` with an estimator of a saved model."""

import json
import types

import pytest

import primer
from primer import saved_model
from primer.data import preflight
from primer.errors import UsageError
from primer.generation import generate_text
from tests import golden_model


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return golden_model.unpack(tmp_path_factory.mktemp("golden"))


@pytest.fixture
def estimator(model_dir):
    """What `utils.run` passes, for the model directory of the golden files."""
    with saved_model.settings_of(str(model_dir), str(model_dir / "config.gin")):
        saved = saved_model.build(str(model_dir))
        yield types.SimpleNamespace(
            model_dir=str(model_dir),
            model=saved.model,
            settings={
                "sequence_length": {"targets": saved.length},
                "vocabulary": preflight.find_task("text").output_features["targets"].vocabulary,
                "mesh_shape": "",
                "layout_rules": "",
            },
        )


def rows(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_prompts_and_files_are_continued(estimator, tmp_path, capsys):
    (tmp_path / "prompts").write_text("8 times")
    settings = {"max_tokens": 5, "seed": 3, "as_json": True}
    generate_text.generate_text(
        estimator, "unused", prompts=["7 times"], prompt_file=str(tmp_path / "prompts"), **settings
    )
    found = rows(capsys)
    assert sorted(row["prompt"] for row in found) == ["7 times", "8 times"]
    assert all(1 <= row["tokens"] <= 5 and row["step"] == 6 for row in found)
    generate_text.generate_text(estimator, prompts=["7 times"], checkpoint=3, **settings)
    (earlier,) = rows(capsys)
    assert earlier["step"] == 3


def test_texts_of_ids_have_the_log_probability_of_their_score(estimator, model_dir, capsys):
    settings = {"max_tokens": 12, "temperature": 0.5, "seed": 3, "as_json": True}
    generate_text.generate_text(estimator, prompts=["7 times"], **settings)
    (text,) = rows(capsys)
    vocabulary = estimator.settings["vocabulary"]
    prompt = vocabulary.encode("7 times")
    generate_text.generate_text(
        estimator, prompts=[" ".join(map(str, prompt))], as_ids=True, **settings
    )
    (numbers,) = rows(capsys)
    assert numbers["text"].split() == [str(i) for i in numbers["ids"] if i != 1]
    assert numbers["ids"] == text["ids"] and vocabulary.decode(text["ids"]) == text["text"]
    assert numbers["log_probability"] == text["log_probability"]
    (scores,) = primer.load(str(model_dir)).token_scores(["7 times" + text["text"]])
    both = [*prompt, *text["ids"]]
    assert list(scores.ids[: len(both)]) == both
    expected = sum(scores.log_probs[len(prompt) : len(both)])
    assert text["log_probability"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"checkpoint": 4}, "no checkpoint of step 4"),
        ({"top_p": 2.0}, "top_p = 2.0"),
        ({"max_tokens": 0}, "max_tokens = 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(estimator, settings, message):
    with pytest.raises(UsageError, match=message):
        generate_text.generate_text(estimator, **settings)


def test_a_tpu_is_refused(estimator):
    settings = {**estimator.settings, "use_tpu": True}
    on_tpu = types.SimpleNamespace(**{**vars(estimator), "settings": settings})
    with pytest.raises(UsageError, match="leave out --tpu"):
        generate_text.generate_text(on_tpu)
