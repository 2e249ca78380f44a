"""The adapter under the real lm-evaluation-harness, on local tasks and without a network."""

import json
import math
import os
import re

os.environ["HF_DATASETS_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np  # noqa: E402
import pytest  # noqa: E402

import primer  # noqa: E402
from primer.errors import UsageError  # noqa: E402
from tests import tiny_text  # noqa: E402
from tests.command_lines import run  # noqa: E402

lm_eval = pytest.importorskip("lm_eval", reason="needs the extra lm-eval")

from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.api.model import CacheHook, CachingLM  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

from primer.evaluation import lm_eval_adapter  # noqa: E402

PAGES = [
    "7 times 8 is 56.\n" * 5,
    "2 times 2 is 4.",
    "caf\u00e9 \u2014 \u6f22\u5b57 and  words\n\n",
    ".",
]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    """A model of 32 bytes that has learned a little."""
    texts = tiny_text.write(tmp_path_factory.mktemp("texts"))
    assert run(*tiny_text.train_words(texts, texts / "model", "--steps", 60, "--seed", 5)) == 0
    return lm_eval_adapter.PrimerLM(str(texts / "model"), batch_size=4)


def request(kind, *arguments):
    return Instance(kind, {}, arguments, 0)


def alone(adapter, context, continuation):
    """(log-probability, losses) of a pair in a row of its own, that is cut at the left."""
    ids = list(f"{context}{continuation}".encode())[-adapter.max_length :]
    row = np.zeros([1, adapter.max_length], np.int32)
    row[0, : len(ids)] = np.array(ids) + 3
    nats = adapter.model.scorer.nats(row)[0, : len(ids)].astype(np.float64)
    return -nats[len(ids) - len(continuation.encode()) :].sum()


PAIRS = [
    ("7 times 8 is", " 56"),
    ("7 times 8 is ", "56"),  # The space goes to the continuation.
    ("7 times 8 is", " 57"),
    ("", "7 times"),
    ("7 times 8 is 56.\n" * 4, "7 times 9"),  # Longer than the model: the end of the context.
    ("7", " times 8 is 56.\n8 times 8 is 64"),  # 32 tokens in all.
    ("nothing follows", ""),
] * 5  # More than one batch.


def test_loglikelihood_is_that_of_each_pair_alone(adapter):
    found = adapter.loglikelihood([request("loglikelihood", *pair) for pair in PAIRS])
    for (context, continuation), (log_prob, _) in zip(PAIRS, found, strict=True):
        shown = context.rstrip()
        expected = alone(adapter, shown, context[len(shown) :] + continuation)
        assert log_prob == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert found[6] == (0.0, True)


def test_a_file_of_cached_results_is_read_for_its_own_model_only(adapter, tmp_path, monkeypatch):
    pairs = [request("loglikelihood", "7 times 8 is", " 56")]
    path = str(tmp_path / "results.db")
    (first,) = CachingLM(adapter, path).loglikelihood(pairs)
    with monkeypatch.context() as patch:
        patch.setattr(adapter, "_in_parts", None)
        assert CachingLM(adapter, path).loglikelihood(pairs) == [first]
    other = lm_eval_adapter.PrimerLM(adapter.model.model_dir, checkpoint=57)
    assert other.get_model_info()["identity"] != adapter.get_model_info()["identity"]
    with pytest.raises(UsageError, match="results.db' has results of another model .* step 57"):
        CachingLM(other, path)
    adapter.set_cache_hook(CacheHook(None))


def test_a_continuation_is_greedy_when_it_is_what_the_model_writes(adapter):
    prompts = ["7 times 8 is", "12 ti", ""]
    written = [text for (text,) in adapter.model.generate(prompts, max_tokens=6, temperature=0)]
    assert all(written)
    pairs = [*zip(prompts, written, strict=True), ("7 times 8 is", "~" + written[0][1:])]
    pairs.append((prompts[0], written[0][:-1] + "~"))
    found = adapter.loglikelihood([request("loglikelihood", *pair) for pair in pairs])
    assert [greedy for _, greedy in found] == [True, True, True, False, False]


def task(name, path, **settings):
    return {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(path)}, "cache_dir": str(path.parent)},
        "test_split": "test",
        "num_fewshot": 0,
        "metadata": {"version": 1},
        **settings,
    }


def evaluate(adapter, config):
    found = lm_eval.simple_evaluate(
        model=adapter,
        tasks=[config],
        task_manager=TaskManager(include_defaults=False),
        bootstrap_iters=0,
    )
    assert found["config"]["step"] == adapter.model.step
    return found["results"][config["task"]], found["samples"][config["task"]]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_multiple_choice(adapter, tmp_path):
    rows = [
        {"question": f"{n} times {k} is", "choices": [str(n * k), "zq#", "XX~~"], "label": 0}
        for n in (2, 7, 11)
        for k in (3, 8)
    ]
    config = task(
        "times",
        write(tmp_path / "times.jsonl", rows),
        output_type="multiple_choice",
        doc_to_text="question",
        doc_to_choice="choices",
        doc_to_target="label",
        metric_list=[{"metric": "acc"}, {"metric": "acc_norm"}],
    )
    results, samples = evaluate(adapter, config)
    expected = [
        np.argmax([alone(adapter, row["question"], f" {choice}") for choice in row["choices"]])
        for row in rows
    ]
    assert results["acc,none"] == np.mean(np.array(expected) == 0) == 1
    assert len(samples) == len(rows)


def test_perplexity_agrees_with_scores(adapter, tmp_path):
    """Of texts that fit into a window; the end token and the end's byte are not the harness's."""
    pages = [page for page in PAGES if len(page.encode()) < adapter.max_length]
    assert len(pages) == 3
    config = task(
        "pages",
        write(tmp_path / "pages.jsonl", [{"page": page} for page in pages]),
        output_type="loglikelihood_rolling",
        doc_to_text="",
        doc_to_target="page",
        metric_list=[
            {"metric": name} for name in ("word_perplexity", "byte_perplexity", "bits_per_byte")
        ],
    )
    results, _ = evaluate(adapter, config)
    totals = adapter.model.score(pages)
    nats = sum(total.nats - total.end_nats for total in totals)
    size = sum(total.bytes - 1 for total in totals)
    words = sum(len(re.split(r"\s+", page)) for page in pages)
    assert results["bits_per_byte,none"] == pytest.approx(nats / math.log(2) / size, rel=1e-6)
    assert results["byte_perplexity,none"] == pytest.approx(math.exp(nats / size), rel=1e-6)
    assert results["word_perplexity,none"] == pytest.approx(math.exp(nats / words), rel=1e-6)


def test_a_long_text_has_the_context_that_fits(adapter):
    """Every token's own window, in a loop: one token at least, the last tokens all that fit."""
    text, length = PAGES[0], adapter.max_length
    ids = np.frombuffer(text.encode(), np.uint8).astype(np.int32) + 3
    assert len(ids) == 85
    expected = 0.0
    for start, counted, end in ((0, 0, 32), (31, 32, 63), (53, 63, 85)):
        row = np.zeros([1, length], np.int32)
        row[0, : end - start] = ids[start:end]
        nats = adapter.model.scorer.nats(row)[0]
        expected -= nats[counted - start : end - start].astype(np.float64).sum()
    (found,) = adapter.loglikelihood_rolling([request("loglikelihood_rolling", text)])
    assert found == pytest.approx(expected, rel=1e-6)


def test_generate_until(adapter, tmp_path):
    prompts = ["7 times 8", "2 times 3", "11 times 4 is 44.\n" * 4]
    whole = [text for (text,) in adapter.model.generate(prompts, max_tokens=9, temperature=0)]
    stop = whole[0][2]
    config = task(
        "writes",
        write(tmp_path / "writes.jsonl", [{"prompt": p, "answer": "x"} for p in prompts]),
        output_type="generate_until",
        doc_to_text="prompt",
        doc_to_target="answer",
        generation_kwargs={"until": [stop, ""], "max_gen_toks": 9, "do_sample": False},
        metric_list=[{"metric": "exact_match"}],
    )
    results, samples = evaluate(adapter, config)
    expected = {p: text.split(stop)[0] for p, text in zip(prompts, whole, strict=True)}
    found = {sample["doc"]["prompt"]: sample["resps"][0][0] for sample in samples}
    assert found == expected
    assert results["exact_match,none"] == 0


def test_unknown_generation_settings_are_named(adapter):
    with pytest.raises(UsageError, match="num_beams"):
        adapter.generate_until([request("generate_until", "7", {"num_beams": 4})])


def test_a_loaded_model_is_taken_and_answers_are_kept_for_a_cache(adapter, tmp_path):
    model = primer.load(adapter.model.model_dir, batch_size=2)
    other = lm_eval_adapter.PrimerLM(model)
    cached = lm_eval.api.model.CachingLM(other, str(tmp_path / "cache.db"))
    requests = [request("loglikelihood", *pair) for pair in PAIRS[:7]]
    first = cached.loglikelihood(requests)
    assert [log_prob for log_prob, _ in first] == pytest.approx(
        [log_prob for log_prob, _ in adapter.loglikelihood(requests)], rel=1e-5, abs=1e-6
    )
    model.close()
    assert cached.loglikelihood(requests) == first
