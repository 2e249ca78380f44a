"""Runs `primer` commands in forked processes that can be killed (`-m tests.forked_commands`).

TensorFlow is imported once, before any session exists, and each command runs in a fork of that
process, as the leader of a process group of its own. Requests are lines of JSON on standard input,
{"words": [...], "kill_after": seconds or null, "log": path}; each is answered by one line on
standard output: {"code": exit code, or null if the command was killed, "seconds": its duration}.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time


class Commands:
    """The process that forks; use it as a context."""

    def __init__(self, log):
        """Starts the process; `log` is the file for what the commands print."""
        self._log = str(log)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked_commands"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.stdin.close()
        self._process.wait()

    def run(self, *words, kill_after=None):
        """Runs `primer words...`.

        Args:
            words: the words of the command.
            kill_after: seconds after which its processes get SIGKILL; None for never.

        Returns:
            (exit code, or None if it was killed; seconds that it ran).
        """
        request = {"words": [str(w) for w in words], "kill_after": kill_after, "log": self._log}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer["code"], answer["seconds"]


def _fork(words, log):
    """Runs a command in a new process; returns its id."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    print("$ primer", *words, flush=True)
    code = 1
    try:
        cli.main(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _answer(request):
    started = time.monotonic()
    child = _fork(request["words"], request["log"])
    limit = request["kill_after"]
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            break
        if limit is not None and time.monotonic() - started >= limit:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            code = None
            break
        time.sleep(0.005)
    return {"code": code, "seconds": time.monotonic() - started}


if __name__ == "__main__":
    from primer.runtime import import_hook

    import_hook.install()

    import t5_imports  # noqa: F401
    from primer import cli
    from primer.launch import engine

    engine._import_t5_main()
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)
