"""Parses gin files as t5's main does, without its flags and without a run."""

import contextlib
from collections.abc import Iterator, Sequence

import gin

from primer.errors import UsageError


def parse_files(files: Sequence[str], params: Sequence[str]) -> None:
    """Parses Mesh-TensorFlow's defaults, gin files and bindings, and does not finalize them.

    Everything that the files name has to be registered (by `import t5_imports`).

    Args:
        files: the values of `--gin_file`.
        params: the values of `--gin_param`.

    Raises:
        UsageError: gin cannot parse the files, or one is missing.
    """
    from t5.models import mesh_transformer

    from primer.gin_config import findings, gin_state

    # Without Mesh-TensorFlow's: a run reads its defaults.gin by the path.
    for folder in findings.installed_folders()[:2]:
        if folder not in gin_state.search_path():
            gin.add_config_file_search_path(folder)
    skipped = mesh_transformer.DEPRECATED_GIN_REFERENCES
    with errors_in_one_line():
        gin.parse_config_file(findings.mesh_tensorflow_defaults(), skip_unknown=skipped)
        gin.parse_config_files_and_bindings(
            files, params, skip_unknown=skipped, finalize_config=False
        )


@contextlib.contextmanager
def building(what: str) -> Iterator[None]:
    """Raises UsageError, of one line, in place of the errors of code that builds a graph.

    Args:
        what: what the code builds, as "the model".
    """
    try:
        yield
    except UsageError as error:
        raise UsageError(first_line(error)) from error  # gin adds lines on the call.
    except (ValueError, TypeError, RuntimeError) as error:
        raise UsageError(f"{what} cannot be built: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextlib.contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Raises UsageError in place of gin's own errors, which have several lines."""
    from primer.gin_config import gin_errors

    try:
        yield
    except OSError as error:
        raise UsageError(" ".join(str(error).split())) from error
    except (ValueError, SyntaxError, ImportError) as error:
        raise gin_errors.as_usage_error(error) from error
