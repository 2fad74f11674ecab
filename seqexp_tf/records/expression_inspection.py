"""An expression dataset in readable form: genes, target, signals, features."""

import numpy as np

from seqexp_tf.records.expression_details import CEILING
from seqexp_tf.records.store import RecordStore

_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def describe_expression(store: RecordStore) -> list[str]:
    """Returns lines about the genes, target, signals and features of a dataset."""
    details = store.schema.expression
    target = details.target
    unit = f", {target.unit}" if target.unit else ""
    lines = [
        f"target {target.name} (transform {target.transform}{unit})",
        "             genes       min       25%    median       75%       max",
    ]
    for split in store.splits:
        values = store.windows(split).target.to_numpy()
        numbers = "".join(f"{q:>10.3f}" for q in np.quantile(values, _QUANTILES))
        lines.append(f"  {split:<11}{values.size:>5,}{numbers}")
    if CEILING in store.windows():
        found = ", ".join(
            f"{split} {np.corrcoef(rows.target, rows.ceiling)[0, 1]:.3f}"
            for split, rows in store.windows().groupby("split", sort=False)
        )
        name = store.manifest["recipe"]["target"]["ceiling"]
        lines.append(f"ceiling {name}: Pearson with the target: {found}")
    orientation = "read along the gene's strand" if details.oriented else "forward"
    lines.append(
        f"windows {orientation}, the TSS at index {store.schema.window // 2:,}"
    )
    if details.signals:
        lines.append(
            "signals (mean and sd over the training windows, before any z-score; "
            "range as stored)"
        )
    lines += [
        f"  {signal.name:<16} {signal.transform:<20} mean {signal.mean:.4g}, "
        f"sd {signal.sd:.4g}, {signal.minimum:.4g} to {signal.maximum:.4g}"
        for signal in details.signals
    ]
    if details.resolution:
        lines.append(f"contact: {details.contact}, bins of {details.resolution:,} bp")
    if details.features:
        stored = "stored as z-scores" if details.standardised else "stored as they are"
        lines.append(f"features ({stored}; mean and sd over the training genes)")
    lines += [
        f"  {feature.name:<24} mean {feature.mean:.4g}, sd {feature.sd:.4g}"
        + (" of ln(x + 1)" if feature.log1p else "")
        for feature in details.features
    ]
    return lines
