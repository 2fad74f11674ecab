"""Does a dataset hold the fixed masks that an evaluation is to use?"""

from seqexp_tf.errors import DatasetError
from seqexp_tf.records.masks import MaskingConfig
from seqexp_tf.records.store import RecordStore


def require_masks(store: RecordStore, split: str, masking: MaskingConfig) -> None:
    """Raises DatasetError unless the split carries the fixed masks of a regime."""
    store.count(split)
    if not store.schema.by_name["expression_mask"].in_split(split):
        raise DatasetError(
            f"{store.folder}: split {split!r} has no fixed masks to evaluate under; "
            "use validation or test"
        )
    stored = store.manifest["recipe"]["masks"]
    for hides, key in (
        (masking.hides_expression, "expression_fraction"),
        (masking.hides_sequence, "sequence_fraction"),
    ):
        if hides and not stored[key]:
            raise DatasetError(
                f"{store.folder}: was converted with masks.{key} = 0, so there is "
                f"nothing to score; set masking.{key}=0, or convert with masks"
            )
