"""Wraps `utils.run` and t5's main: checks first, TensorFlow's log in a file, one-line errors."""

import functools
import shlex
import types
from collections.abc import Callable

from absl import flags

from primer.checkpoints import model_directory, vocabulary_copy
from primer.common import console
from primer.gin_config.values import bound, configured
from primer.runtime import callbacks, cluster, estimator_evaluation
from primer.runtime.command_line import eval_steps, package_conflicts
from primer.runtime.command_line import flags as command_flags
from primer.runtime.command_line.errors_in_one_line import OneLineErrors


def patch(utils: types.ModuleType, scope: estimator_evaluation.EvaluationScope) -> None:
    """Wraps `utils.run`.

    Args:
        utils: `mesh_tensorflow.transformer.utils`.
        scope: opened for the time of a run.
    """
    utils.run = _guarded_run(utils.run, scope)


def _guarded_run(stock: Callable, scope: estimator_evaluation.EvaluationScope) -> Callable:
    @functools.wraps(stock)
    def run(*args, **kwargs):
        with OneLineErrors():
            mode = configured("utils.run.mode", "train")
            if _served_as_worker(cluster.of_this_run(), mode):
                return None
            model_dir = kwargs["model_dir"]
            if mode == "train" and bound("utils.run.train_model_fn") is None:
                model_directory.check_trainable(model_dir)
            eval_steps.check_checkpoints_exist(mode, model_dir)
            with vocabulary_copy.use_copy(model_dir, configured("utils.run.vocabulary")):
                callbacks.run_checks(mode)
                with console.redirected_to_log(model_dir, mode), scope.open():
                    result = stock(*args, **kwargs)
                if mode == "perplexity_eval":
                    _say_how_to_score_whole_split(model_dir)
                return result

    return run


def guarded_main(stock: Callable) -> Callable:
    """Wraps t5's main.

    It reports an inconsistent installation, and expands `~` in paths. With `--use_model_api`, which
    does not call `utils.run`, it also serves a cluster, redirects the log and prints one-line
    errors.
    """

    @functools.wraps(stock)
    def main(arguments):
        conflict = package_conflicts.find_conflict()
        if conflict:
            console.say(f"primer: {conflict}")
        command_flags.expand_paths()
        if not flags.FLAGS.use_model_api:
            return stock(arguments)
        mode = flags.FLAGS.mode or "train"
        with OneLineErrors():
            hosts = cluster.from_environment() if mode in ("train", "finetune") else None
            if _served_as_worker(hosts, mode):
                return None
            with console.redirected_to_log(flags.FLAGS.model_dir, mode):
                return stock(arguments)

    return main


def _served_as_worker(hosts: cluster.Cluster | None, mode: str) -> bool:
    """Serves the cluster until the chief ends if this host is not the chief; returns whether."""
    if hosts is None or hosts.is_chief:
        return False
    with console.redirected_to_log(None, mode):
        cluster.serve_until_chief_ends(hosts)
    return True


def _say_how_to_score_whole_split(model_dir: str) -> None:
    """Prints one line after stock's evaluation, which scores only the beginning of a split."""
    batches = configured("utils.run.perplexity_eval_steps", 100)
    words = ["primer", "eval", f"--model_dir={model_dir}"]
    words.append(f"--split={configured('utils.run.dataset_split', 'train')}")
    if bound("utils.run.model_type") == "aligned":
        rows = "the split's rows in order, with fixed masks"
    elif bound("utils.run.eval_dataset_fn") is None:
        rows = "training's rows, because perplexity_eval.gin was not given"
    else:
        rows = "rows as this command's objective cuts them (as_released)"
    console.say(
        f"These numbers are of {rows}, at most the first {batches} batches; for the whole split: "
        f"{shlex.join(words)}"
    )
