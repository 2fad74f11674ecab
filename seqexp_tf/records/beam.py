"""Shard tasks on Apache Beam: its DirectRunner, Flink, Spark or Dataflow."""

import contextlib
import io
import logging
import re
from collections.abc import Sequence

from seqexp_tf import errors
from seqexp_tf.errors import ConfigError, DatasetError, SeqExpError
from seqexp_tf.records.jobs import do_task

_OURS = re.compile(r"seqexp_tf\.errors\.(\w+): (.*)")


def pipeline_options(args: Sequence[str]):
    """Returns Beam's options out of those of a command line.

    Raises:
        ConfigError: Beam is not installed, or does not take the options.
    """
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise ConfigError(
            '--runner beam needs Apache Beam: pip install "seqexp-tf[beam]"'
        ) from None
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options = PipelineOptions(list(args))
            options.get_all_options()
    except SystemExit:
        reason = said.getvalue().strip().rpartition("error: ")[2]
        raise ConfigError(f"--beam-args: {reason or 'not options of Beam'}") from None
    return options


def run_on_beam(tasks: Sequence[tuple[str, str]], args: Sequence[str]) -> None:
    """Runs staged tasks as one Beam pipeline, and waits for its end.

    What they wrote is told by their journal entries.

    Args:
        tasks: what ``stage_tasks`` returned.
        args: options of Beam, as on a command line.

    Raises:
        ConfigError: as ``pipeline_options``.
        SeqExpError: what a task raised.
        DatasetError: the pipeline failed otherwise.
    """
    options = pipeline_options(args)
    import apache_beam as beam

    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    try:
        pipeline = beam.Pipeline(options=options)
        _ = (
            pipeline
            | "Tasks" >> beam.Create(list(tasks))
            # Without it a runner may keep all of them on the worker that made them.
            | "Spread" >> beam.Reshuffle()
            | "Write shard" >> beam.MapTuple(do_task)
        )
        state = str(pipeline.run().wait_until_finish())
    except SeqExpError as error:
        raise type(error)(_without_step(str(error))) from None
    except Exception as error:
        raise _cause(error) from None
    if state != "DONE":
        raise DatasetError(
            f"the Beam pipeline ended as {state}; run the same command to go on"
        )


def _cause(error: Exception) -> SeqExpError:
    """What a task raised, out of the text of the runner's exception."""
    text = str(error)
    for name, message in _OURS.findall(text):
        return getattr(errors, name, DatasetError)(_without_step(message))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reason = _without_step(lines[-1]) if lines else ""
    return DatasetError(
        f"the Beam pipeline failed ({type(error).__name__}: {reason}); see the "
        "runner's log, then run the same command to go on"
    )


def _without_step(message: str) -> str:
    """A message without what Beam adds to it."""
    return message.partition(" [while running")[0]
