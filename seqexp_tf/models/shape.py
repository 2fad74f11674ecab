"""What a model of genes is given: the shape of a dataset; free of TensorFlow."""

from dataclasses import dataclass, field

from seqexp_tf.config import require
from seqexp_tf.errors import DatasetError
from seqexp_tf.records.expression_details import CONTACT
from seqexp_tf.records.schema import Schema


@dataclass(frozen=True)
class ExpressionShape:
    """The inputs a dataset of kind ``expression`` has to offer.

    Attributes:
        window: bases a model reads; the TSS is at index ``window // 2``.
        signals: names of the signals, in order; ``contact`` last, where there is one.
        features: names of the numbers a gene.
        channels: names of the per-base masks.
        minima: smallest value of each signal of ``signals`` but ``contact``, which
            is never negative; empty where nothing is known.
    """

    window: int
    signals: tuple[str, ...]
    features: tuple[str, ...]
    channels: tuple[str, ...]
    minima: tuple[float, ...] = field(default=(), compare=False)


def expression_shape(schema: Schema, window: int = 0) -> ExpressionShape:
    """Returns the shape of a dataset's inputs.

    Args:
        schema: of the dataset.
        window: bases around the TSS that are cut out; 0 for the whole record.

    Raises:
        DatasetError: a dataset of another kind.
        ConfigError: a window that the records cannot give.
    """
    if schema.kind != "expression":
        raise DatasetError(
            f"a dataset of kind {schema.kind!r}; a model of genes needs one of kind "
            '"expression"'
        )
    require(window % 2 == 0, f"pipeline.window is {window:,}; it must be even")
    require(
        0 <= window <= schema.window,
        f"pipeline.window is {window:,}; it must be at most the {schema.window:,} "
        "bases of a record (0 takes all)",
    )
    details, channels = schema.expression, schema.by_name.get("channels")
    contact = (CONTACT,) if details.resolution else ()
    return ExpressionShape(
        window=window or schema.window,
        signals=(*(signal.name for signal in details.signals), *contact),
        features=tuple(feature.name for feature in details.features),
        channels=channels.tracks if channels else (),
        minima=tuple(signal.minimum for signal in details.signals),
    )
