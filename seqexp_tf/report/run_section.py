"""A report's account of the run, its dataset and where the page was made."""

from collections.abc import Iterator
from pathlib import Path

from seqexp_tf.config import dump
from seqexp_tf.models.size import trainable_weights
from seqexp_tf.report.collect import Report
from seqexp_tf.report.gene_collect import GeneReport
from seqexp_tf.report.page import Block, Facts, Listing, Missing, Section
from seqexp_tf.report.wording import listing
from seqexp_tf.training.config import AnyRunConfig, RunConfig, model_config
from seqexp_tf.training.environment import (
    Environment,
    describe_environment,
    read_environments,
)


def run_section(report: Report | GeneReport) -> Section:
    """Returns configuration, dataset and environment."""
    run, store = report.inputs.run, report.inputs.store
    manifest, config = store.manifest, run.config
    weights = trainable_weights(report.inputs.predictor.model)
    splits = tuple(
        (
            name,
            f"{store.count(name):,} windows of "
            f"{listing(manifest['splits'][name]['contigs'])}",
        )
        for name in store.splits
    )
    dropped = manifest["windows"]["dropped"]
    trained = run.dataset
    blocks: list[Block] = [
        Facts(
            caption="Model",
            items=(
                ("Architecture", config.model["architecture"]),
                ("Weights", f"{weights:,}"),
                ("Receptive field", _receptive_field(config)),
                *_hidden(config),
                ("Trained on", f"{trained['name']}, {trained['fingerprint'][:16]}"),
                ("Seed", str(config.training.seed)),
            ),
        ),
        Facts(
            caption="Dataset",
            items=(
                ("Name", manifest["name"]),
                ("Fingerprint", store.fingerprint),
                ("Window", f"{store.schema.window:,} bp"),
                ("Windows written", f"{manifest['windows']['written']:,}"),
                *((f"Dropped: {why}", f"{n:,}") for why, n in dropped.items()),
                ("Made by", manifest["created_by"]),
            ),
        ),
        Facts(caption="Splits", items=splits),
        *(_environment(caption, found) for caption, found in _places(run.folder)),
        Listing(caption="Configuration of the run (TOML)", text=dump(config)),
    ]
    if store.fingerprint != trained["fingerprint"]:
        why = "the page scores the model on another dataset than it was trained on."
        blocks.insert(0, Missing(what="Note", why=why))
    return Section(
        id="run",
        title="Run",
        lead="What this model was made from, and where.",
        blocks=tuple(blocks),
    )


def _places(folder: Path) -> Iterator[tuple[str, Environment]]:
    for step, found in read_environments(folder):
        after = f", after step {step:,}" if step else ""
        yield f"Where it was trained{after}", found
    yield "Where this page was made", describe_environment()


def _environment(caption: str, environment: Environment) -> Facts:
    gigabytes = environment.memory and f"{environment.memory / 2**30:.0f} GiB"
    return Facts(
        caption=caption,
        items=(
            ("Processor", environment.processor),
            ("Memory", gigabytes or "unknown"),
            ("GPU", ", ".join(environment.accelerators) or "none"),
            ("System", environment.system),
            ("Keras backend", environment.backend),
            *environment.versions.items(),
        ),
    )


def _hidden(config: AnyRunConfig) -> tuple[tuple[str, str], ...]:
    if isinstance(config, RunConfig):
        return (("Hidden in training", " and ".join(config.hidden)),)
    return ()


def _receptive_field(config: AnyRunConfig) -> str:
    field = getattr(model_config(config), "receptive_field", None)
    return "the whole window" if field is None else f"{field:,} bp"
