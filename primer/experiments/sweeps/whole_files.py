"""Local files that are written whole or not at all, without TensorFlow's import."""

import contextlib
import json
import os


def write(path: str, content: bytes) -> None:
    """Writes a file; an earlier one stays as it was if this fails, as on a full disk.

    Raises:
        OSError: the file cannot be written.
    """
    folder, name = os.path.split(path)
    unfinished = os.path.join(folder, f".{name}.unfinished")
    try:
        with open(unfinished, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(unfinished)
        raise


def write_json(path: str, data: object) -> None:
    """Writes plain data as JSON, as `write`; other values as their text."""
    text = json.dumps(data, indent=2, ensure_ascii=False, default=str)
    write(path, f"{text}\n".encode())
