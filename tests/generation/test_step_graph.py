"""The step graph against the logits of a whole sequence at once."""

import gin
import numpy as np
import pytest

from primer.errors import UsageError
from primer.generation.step_graph import StepGraph
from primer.gin_config import isolation
from tests.evaluation import tiny

ROWS = 3


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(step graph, checkpoint, ids, logits of all positions) of Primer with random weights."""
    with isolation.isolated():
        tiny.configure()
        ids = np.random.default_rng(0).integers(3, tiny.VOCABULARY, [ROWS, tiny.LENGTH])
        path, logits = tiny.save_and_logits(tmp_path_factory.mktemp("random"), ids)
        graph = StepGraph(tiny.model(), ROWS, tiny.LENGTH)
        yield graph, path, ids, logits
        graph.close()


@pytest.mark.parametrize("starts", [[0, 0, 0], [2, 0, 7], [12, 5, 1]])
def test_steps_after_prompts_of_any_length_give_the_logits_of_the_whole(saved, starts):
    check_steps(*saved, starts)


def check_steps(graph, path, ids, logits, starts):
    graph.restore(path)
    graph.read_prompts([row[:start] for row, start in zip(ids, starts)])
    for step in range(tiny.LENGTH - max(starts)):
        positions = np.array(starts) + step
        tokens = [row[place - 1] if place else 0 for row, place in zip(ids, positions)]
        found = graph.next_logits(np.array(tokens), positions)
        expected = logits[np.arange(ROWS), positions]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_prompts_replace_the_states(saved):
    graph, path, ids, logits = saved
    graph.restore(path)
    graph.read_prompts([row[::-1][:9] for row in ids])
    graph.next_logits(np.array([4, 5, 6]), np.array([9, 9, 9]))
    graph.read_prompts([row[:4] for row in ids])
    found = graph.next_logits(ids[:, 3], np.array([4] * ROWS))
    np.testing.assert_allclose(found, logits[:, 4], rtol=1e-4, atol=1e-4)


def test_a_prompt_leaves_the_states_of_other_rows(saved):
    graph, path, ids, logits = saved
    graph.restore(path)
    graph.read_prompts([row[:9] for row in ids])
    graph.next_logits(ids[:, 8], np.array([9] * ROWS))
    graph.read_prompts([None, ids[1][:4], None])
    found = graph.next_logits(np.array([ids[0][9], ids[1][3], ids[2][9]]), np.array([10, 4, 10]))
    np.testing.assert_allclose(found, logits[range(ROWS), [10, 4, 10]], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "bindings",
    [
        ["positions = 'learned'", "num_value_embeddings = 1"],
        [
            "positions = 'sinusoid'",
            "tied_embeddings = False",
            "embedding_scale = 'sqrt'",
            "logit_cap = 3.0",
            "mask_vocabulary_padding = True",
        ],
    ],
    ids=["learned", "sinusoid"],
)
def test_positions_embeddings_and_outputs(tmp_path, bindings):
    tiny.configure("transformer", "relu")
    gin.parse_config(bindings)
    ids = np.random.default_rng(0).integers(3, tiny.VOCABULARY, [ROWS, tiny.LENGTH])
    path, logits = tiny.save_and_logits(tmp_path, ids)
    graph = StepGraph(tiny.model(), ROWS, tiny.LENGTH)
    check_steps(graph, path, ids, logits, [2, 0, 7])
    graph.close()


def test_steps_compiled_by_xla(tmp_path):
    tiny.configure()
    gin.parse_config(["compile.xla = True", "num_layers = 1"])
    ids = np.random.default_rng(0).integers(3, tiny.VOCABULARY, [ROWS, tiny.LENGTH])
    path, logits = tiny.save_and_logits(tmp_path, ids)
    graph = StepGraph(tiny.model(), ROWS, tiny.LENGTH)
    check_steps(graph, path, ids, logits, [2, 0, 7])
    assert graph._step.is_compiled and graph._fill.is_compiled
    graph.close()


# Prompts of a few tokens are read as shorter rows, also where a cache is a ring; where positions or
# segments depend on the length of the row, they are not.
SHORT = {
    "primer": ("", 4),
    "windowed_transformer": ("window = 6", 4),
    "transformer_xl": ("memory_length = 4", tiny.LENGTH),
}


@pytest.mark.parametrize("architecture", SHORT)
def test_prompts_in_short_rows_leave_the_same_states(tmp_path, architecture):
    binding, length = SHORT[architecture]
    tiny.configure(architecture, "relu")
    gin.parse_config(binding)
    ids = np.random.default_rng(0).integers(3, tiny.VOCABULARY, [ROWS, tiny.LENGTH])
    path, logits = tiny.save_and_logits(tmp_path, ids)
    graph = StepGraph(tiny.model(), ROWS, tiny.LENGTH, prompt_length=4)
    assert graph.prompt_length == length
    check_steps(graph, path, ids, logits, [2, 0, 4])
    graph.close()


def test_states_share_no_memory(saved):
    """Steps overwrite the states' memory: those after `restore` and after prompts are apart."""
    graph, path, ids, logits = saved
    graph.restore(path)
    graph.next_logits(ids[:, 0], np.array([0] * ROWS))
    variables = graph._session.graph.get_collection("variables")
    caches = [v for v in variables if v.shape.as_list()[2:3] == [tiny.LENGTH]]
    values = graph._session.run(caches)
    assert len(values) == 4  # Keys and values of two layers.
    for value in values:
        assert value[:, :, 0].any() and not value[:, :, 1:].any()
    assert len({value.tobytes() for value in values}) == 4
    check_steps(graph, path, ids, logits, [0, 0, 0])


def test_other_models_than_language_models_are_refused():
    with pytest.raises(UsageError, match="this model is a object .utils.run.model_type"):
        StepGraph(object(), 1, 8)
