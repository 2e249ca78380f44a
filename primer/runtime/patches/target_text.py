"""The text of targets for `mode = "eval"` and `"score_eval"` of language-model tasks.

Mesh-TF 0.1.21 compares predictions with `targets_pretokenized` and counts its padding by them. T5's
language-model tasks cut and join documents, after which no example has such a text: the metrics got
no targets, and the run stopped unless the examples filled whole batches.
"""

import functools
import inspect

import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import dataset as transformer_dataset

TEXT = "targets_pretokenized"


def patch(utils):
    """Mends `mesh_tensorflow.transformer.utils.eval_model`."""
    utils.eval_model = _with_text_targets(utils.eval_model, utils.targets_vocabulary)


def _with_text_targets(stock, targets_vocabulary):
    signature = inspect.signature(stock)

    @functools.wraps(stock)
    def eval_model(*args, **kwargs):
        call = signature.bind(*args, **kwargs)
        given = call.arguments.get("eval_dataset_fn")
        if given is not None:
            vocabulary = targets_vocabulary(call.arguments["vocabulary"])
            call.arguments["eval_dataset_fn"] = _completed(given, vocabulary)
        return stock(*call.args, **call.kwargs)

    return eval_model


def _completed(eval_dataset_fn, vocabulary):
    """The same data sets; an example without the text of its targets gets it."""

    def datasets(**kwargs):
        return [_with_text(found, vocabulary) for found in eval_dataset_fn(**kwargs)]

    return datasets


def _with_text(eval_dataset, vocabulary):
    eval_dataset = transformer_dataset.EvalDataset(*eval_dataset)

    def dataset(**settings):
        made = eval_dataset.dataset_fn(**settings)
        if TEXT in made.element_spec:
            return made
        return made.map(add_text)

    def add_text(example):
        return {**example, TEXT: vocabulary.decode_tf(tf.cast(example["targets"], tf.int32))}

    return eval_dataset._replace(dataset_fn=dataset)
