"""Mesh-TF 0.1.21: `mode = "eval"` and `"score_eval"` fail for language-model tasks.

It compares predictions with the feature `targets_pretokenized`, and counts padding examples by it.
T5's language-model tasks cut and join documents, after which no example has this text: the metrics
get no targets, and the run stops unless the examples fill whole batches. The patch decodes the
targets of examples without the text.
"""

import functools
import inspect
from types import ModuleType

import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import dataset as transformer_dataset

TEXT = "targets_pretokenized"


def patch(utils: ModuleType) -> None:
    """Patches `mesh_tensorflow.transformer.utils.eval_model`."""
    utils.eval_model = _with_text_targets(utils.eval_model, utils.targets_vocabulary)


def _with_text_targets(stock, targets_vocabulary):
    signature = inspect.signature(stock)

    @functools.wraps(stock)
    def eval_model(*args, **kwargs):
        call = signature.bind(*args, **kwargs)
        eval_dataset_fn = call.arguments.get("eval_dataset_fn")
        if eval_dataset_fn is not None:
            vocabulary = targets_vocabulary(call.arguments["vocabulary"])
            call.arguments["eval_dataset_fn"] = _with_texts(eval_dataset_fn, vocabulary)
        return stock(*call.args, **call.kwargs)

    return eval_model


def _with_texts(eval_dataset_fn, vocabulary):
    """Adds the text of the targets to the examples of all data sets that lack it."""

    def datasets(**kwargs):
        return [_with_text(dataset, vocabulary) for dataset in eval_dataset_fn(**kwargs)]

    return datasets


def _with_text(eval_dataset, vocabulary):
    eval_dataset = transformer_dataset.EvalDataset(*eval_dataset)

    def dataset(**settings):
        examples = eval_dataset.dataset_fn(**settings)
        return examples if TEXT in examples.element_spec else examples.map(add_text)

    def add_text(example):
        return {**example, TEXT: vocabulary.decode_tf(tf.cast(example["targets"], tf.int32))}

    return eval_dataset._replace(dataset_fn=dataset)
