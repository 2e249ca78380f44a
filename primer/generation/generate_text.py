"""Text from the command line of the engine: what `primer generate` asks for.

t5's main calls `utils.run`, and that calls `train_model_fn` with the estimator it has made. With
`gin/run/generate.gin` this function takes the trainer's place, so that the model, the mesh and the
vocabulary come from the very settings that training had.
"""

import gin
from mesh_tensorflow.transformer import utils

from primer.checkpoints import checkpoint_files, model_directory, selection
from primer.errors import UsageError
from primer.generation import output
from primer.generation.generator import Writer
from primer.generation.request import Request, prompts_of
from primer.generation.sampling import Sampling
from primer.runtime import cluster, estimator_model


@gin.configurable(module="primer")
def generate_text(
    estimator,
    *training_arguments,
    prompts=(),
    prompt_file=None,
    num_samples=1,
    max_tokens=128,
    temperature=1.0,
    top_k=None,
    top_p=None,
    seed=None,
    stops=(),
    checkpoint="latest",
    as_json=False,
    **training_settings,
):
    """Continues prompts and prints each token as it comes.

    Args:
        estimator: a LocalEstimator, for its model, mesh, vocabulary and directory.
        prompts: a list of strings; "" begins a document.
        prompt_file: a file of further prompts, one a line.
        num_samples: texts per prompt.
        max_tokens: the most new tokens per text.
        temperature, top_k, top_p: how tokens are drawn; see `sampling.Sampling`.
        seed: the same gives the same texts; None takes one by chance and says which.
        stops: a list of strings that end a text.
        checkpoint: "latest", "best" or a step.
        as_json: one JSON object a text instead of running text.
        training_arguments, training_settings: what the trainer would get; unused.

    Raises:
        UsageError: a setting out of its range, or no such checkpoint.
        RunError: the checkpoint cannot be read.
    """
    del training_arguments, training_settings
    asked = Request(
        prompts=prompts_of(prompts, prompt_file),
        num_samples=num_samples,
        max_tokens=max_tokens,
        sampling=Sampling(temperature, top_k, top_p),
        stops=tuple(stops),
        **({} if seed is None else {"seed": seed}),
    )
    path = selection.select_checkpoint(estimator.model_dir, checkpoint)
    writer = _writer_of(estimator, path)
    show = output.Json if as_json else output.Running
    with show(asked, checkpoint_files.step_of(path)) as shown:
        for prompt, sample, text, piece in writer.write(asked):
            shown.piece(prompt, sample, text, piece)
    writer.close()


def _writer_of(estimator, path) -> Writer:
    """A writer with the model, vocabulary and mesh that an estimator was made with."""
    settings = estimator.settings
    if settings.get("use_tpu"):
        raise UsageError("text is written on this machine's own devices: leave out --tpu")
    model = estimator_model.model_of(estimator)
    own = settings["vocabulary"]
    model_directory.check_model(estimator.model_dir, model, own)
    alone = cluster.of_this_run()
    where = ("mesh_shape", "layout_rules", "mesh_devices")
    return Writer(
        model,
        utils.targets_vocabulary(own),
        settings["sequence_length"]["targets"],
        path,
        *(("", "", None) if alone else (settings.get(name) for name in where)),
    )
