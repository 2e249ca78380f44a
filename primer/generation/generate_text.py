"""Generates text: the engine's part of `primer generate`.

t5's main calls `utils.run`, which calls `train_model_fn` with the estimator that it made.
`gin/run/generate.gin` binds that to `generate_text`, so the model, the mesh and the vocabulary come
from the same settings as in training.
"""

from collections.abc import Sequence
from typing import Any

import gin
from mesh_tensorflow.transformer import utils

from primer.checkpoints import checkpoint_files, selection
from primer.errors import UsageError
from primer.generation import output, token_numbers
from primer.generation.generator import Generator
from primer.generation.request import Request, read_prompts
from primer.generation.sampling import Sampling
from primer.runtime import cluster, estimator_model, model_function


@gin.configurable(module="primer")
def generate_text(
    estimator: Any,
    *training_arguments: Any,
    prompts: Sequence[str] = (),
    prompt_file: str | None = None,
    num_samples: int = 1,
    max_tokens: int = 128,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stops: Sequence[str] = (),
    checkpoint: str | int = "latest",
    as_json: bool = False,
    as_ids: bool = False,
    **training_settings: Any,
) -> None:
    """Continues prompts and prints each token as soon as it is generated.

    Args:
        estimator: a LocalEstimator, for its model, mesh, vocabulary and directory.
        prompts: a list of strings; "" begins a document.
        prompt_file: a file of further prompts, one per line.
        num_samples: texts per prompt.
        max_tokens: the maximum of new tokens per text.
        temperature, top_k, top_p: how tokens are sampled; see `sampling.Sampling`.
        seed: equal seeds give equal texts; None draws one and prints it.
        stops: a list of strings that end a text.
        checkpoint: "latest", "best" or a step.
        as_json: whether to print one JSON object per text instead of running text.
        as_ids: whether prompts and texts are token ids separated by spaces, as they always are
            for a model whose ids have no texts.
        training_arguments, training_settings: the trainer's arguments; unused.

    Raises:
        UsageError: a setting is out of its range, or the checkpoint does not exist.
        RunError: the checkpoint cannot be read.
    """
    del training_arguments, training_settings
    request = Request(
        prompts=read_prompts(prompts, prompt_file),
        num_samples=num_samples,
        max_tokens=max_tokens,
        sampling=Sampling(temperature, top_k, top_p),
        stops=tuple(stops),
        **({} if seed is None else {"seed": seed}),
    )
    path = selection.select_checkpoint(estimator.model_dir, checkpoint)
    generator = _generator(estimator, path, as_ids)
    make_printer = output.JsonPrinter if as_json else output.TextPrinter
    with make_printer(request, checkpoint_files.step_of(path)) as printer:
        for prompt, sample, sequence, piece in generator.generate(request):
            printer.add_piece(prompt, sample, sequence, piece)
    generator.close()


def _generator(estimator, path, as_ids) -> Generator:
    """A generator with the model, vocabulary and mesh of an estimator."""
    settings = estimator.settings
    if settings.get("use_tpu"):
        raise UsageError("text is generated on this machine's own devices: leave out --tpu")
    model = estimator_model.model_of(estimator)
    vocabulary = utils.targets_vocabulary(settings["vocabulary"])
    if as_ids or not token_numbers.have_texts(vocabulary):
        vocabulary = token_numbers.TokenNumbers(vocabulary)
    model_function.check(estimator.model_dir, model_function.of_estimator(estimator))
    mesh = [settings.get(name) for name in ("mesh_shape", "layout_rules", "mesh_devices")]
    if cluster.of_this_run():  # This host alone generates.
        mesh = ["", "", None]
    return Generator(
        model,
        vocabulary,
        settings["sequence_length"]["targets"],
        path,
        *mesh,
    )
