"""A process that trains on several replicas; see ``test_strategy``.

Its arguments are a JSON list of fits, each a table: ``config``, ``data``, ``out``, and
``kill``, the batch after which the process kills itself, if it is to.
"""

import json
import os
import signal
import sys

import tensorflow as tf


def main(fits, *, devices: int) -> None:
    if devices > 1:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * devices,
        )

    from seqexp_tf.errors import SeqExpError
    from seqexp_tf.records.store import RecordStore
    from seqexp_tf.training.callbacks import RunRecorder
    from seqexp_tf.training.config import read_run_config
    from seqexp_tf.training.trainer import fit

    undisturbed = RunRecorder.on_train_batch_end
    last = None

    def on_train_batch_end(self, batch, logs=None):
        undisturbed(self, batch, logs)
        if self.progress.step == last:
            os.kill(os.getpid(), signal.SIGKILL)

    RunRecorder.on_train_batch_end = on_train_batch_end
    for each in fits:
        last = each.get("kill")
        store = RecordStore.open(each["data"])
        try:
            fit(read_run_config(each["config"]), store, each["out"], say=_say)
        except SeqExpError as error:
            _say(f"refused: {error}")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), devices=int(sys.argv[2]))
