"""Loading TensorFlow without its notices."""

import os
import subprocess
import sys

CODE = """
import os
from seqexp_tf.quiet import load_tensorflow
load_tensorflow()
import tensorflow as tf
with tf.io.TFRecordWriter(os.environ["SHARD"]) as writer:
    writer.write(b"record")
print(next(tf.data.TFRecordDataset(os.environ["SHARD"]).as_numpy_iterator()))
import keras, sys
assert "sklearn" not in sys.modules
import sklearn
print(os.environ["TF_CPP_MIN_LOG_LEVEL"], os.environ["TF_ENABLE_ONEDNN_OPTS"])
os.write(2, b"heard")
"""


def _run(**variables):
    left = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    return subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        env={**left, **variables},
    )


def test_neither_loading_nor_reading_says_anything(tmp_path):
    done = _run(SHARD=str(tmp_path / "shard"))
    assert done.stdout == "b'record'\n3 1\n"
    assert done.stderr == "heard"


def test_another_backend_is_refused(tmp_path):
    done = _run(SHARD=str(tmp_path / "shard"), KERAS_BACKEND="torch")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "seqexp_tf.errors.ConfigError: KERAS_BACKEND is 'torch', on which this does "
        "not run; export KERAS_BACKEND=tensorflow"
    )


def test_what_the_environment_sets_is_kept(tmp_path):
    done = _run(
        SHARD=str(tmp_path / "shard"),
        TF_CPP_MIN_LOG_LEVEL="0",
        TF_ENABLE_ONEDNN_OPTS="0",
    )
    assert done.stdout.endswith("\n0 0\n")
    assert "buffer_size" in done.stderr
