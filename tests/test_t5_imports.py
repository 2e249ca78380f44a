"""Importing `t5_imports` reads no vocabulary and no data and opens no network connection."""

import subprocess
import sys

import pytest

from tests.paths import ROOT

PROGRAM = """
import sys
from primer.runtime import import_hook
import_hook.install()
seen = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        seen.append((event, str(arguments)))
    if event == "open" and str(arguments[0]).endswith((".model", ".txt.gz", ".tfrecord")):
        seen.append((event, str(arguments[0])))
sys.addaudithook(watch)
import importlib
import tensorflow as tf
def never(*arguments, **options):
    raise AssertionError(f"read at import: {arguments}")
tf.io.gfile.GFile = tf.io.gfile.exists = tf.io.gfile.glob = never
importlib.import_module("t5_imports")
import seqio
names = {"sotu", "text", "lm1b_autoregressive_language_modeling",
         "c4_v220_autoregressive_language_modeling", "pg19_autoregressive_language_modeling",
         "wikitext103", "wikitext103_raw", "wikitext2", "wikitext2_raw", "enwik8", "text8", "ptb",
         "lm1b_words"}
assert names <= set(seqio.TaskRegistry.names()), seqio.TaskRegistry.names()
assert not seen, seen
assert "sotu" not in sys.modules, "importing sotu imports pandas"
print("quiet")
"""


@pytest.mark.slow
def test_import_is_offline(tmp_path):
    root = ROOT
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={
            "PYTHONPATH": str(root),
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "CUDA_VISIBLE_DEVICES": "",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("quiet")
