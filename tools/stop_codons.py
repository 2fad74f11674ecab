#!/usr/bin/env python
"""Compares mutations that make a stop codon with the others, in a map of mutations.

Takes the tables (TSV) that `seqexp-tf mutagenesis` writes, and an annotation. Of each
coding sequence on the strand of the map, whole codons inside the region count. An
effect is the change of the log-odds of expression, summed over the bases compared;
means are shown. The 95 % interval of their difference is a bootstrap over codons.

\b
Example:
  seqexp-tf mutagenesis runs/wide --region chrIV:1,468,900-1,469,900
  python tools/stop_codons.py --annotation genes.gff3.gz \\
      runs/wide/mutagenesis/chrIV_1468900-1469900_plus.tsv
"""

from pathlib import Path

import click
import numpy as np
import pandas as pd

from seqexp_tf.errors import SeqExpError
from seqexp_tf.genome.annotation import read_annotation
from seqexp_tf.genome.contigs import ContigNames

STOPS = {"TAA", "TAG", "TGA"}
BASES = "ACGT"
_COMPLEMENT = str.maketrans(BASES, BASES[::-1])
_DRAWS = 2000
_COLUMNS = ["contig", "position", "strand", "base", *(f"effect_{b}" for b in BASES)]


def mutations(table: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """Returns every mutation of a whole codon: codon, effect, whether it makes a stop.

    Args:
        table: of ``seqexp-tf mutagenesis``, one strand.
        features: CDS features of that contig and strand; start and end (0-based
            half-open), phase.
    """
    table = table.set_index(table["position"] - 1)
    backward = (table["strand"] == "-").all()
    rows = []
    for feature in features.itertuples():
        phase = int(feature.phase or 0)
        if backward:
            first = range(feature.end - 1 - phase, feature.start + 1, -3)
            codons = [(at, at - 1, at - 2) for at in first]
        else:
            first = range(feature.start + phase, feature.end - 2, 3)
            codons = [(at, at + 1, at + 2) for at in first]
        for places in codons:
            if not all(place in table.index for place in places):
                continue
            letters = [table.at[place, "base"] for place in places]
            for offset, place in enumerate(places):
                for base in set(BASES) - {letters[offset]}:
                    codon = "".join([*letters[:offset], base, *letters[offset + 1 :]])
                    if backward:
                        codon = codon.translate(_COMPLEMENT)
                    effect = table.at[place, f"effect_{base}"]
                    rows.append((places[0], effect, codon in STOPS))
    return pd.DataFrame(rows, columns=["codon", "effect", "stop"])


def difference(found: pd.DataFrame, rng: np.random.Generator) -> tuple[float, float]:
    """Returns a 95 % interval of mean effect of stops less that of the others."""
    found = found.assign(stop_effect=found["effect"].where(found["stop"]))
    found["other_effect"] = found["effect"].mask(found["stop"])
    sums = found.groupby("codon")[["stop_effect", "other_effect"]].agg(["sum", "count"])
    draws = rng.integers(0, len(sums), (_DRAWS, len(sums)))
    total = sums.to_numpy()[draws].sum(axis=1)
    with np.errstate(invalid="ignore"):
        means = total[:, 0] / total[:, 1] - total[:, 2] / total[:, 3]
    low, high = np.nanquantile(means, [0.025, 0.975])
    return float(low), float(high)


def read_map(path: Path) -> pd.DataFrame:
    """Reads a table of ``seqexp-tf mutagenesis``."""
    try:
        table = pd.read_csv(path, sep="\t")
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{path}: cannot read: {error}") from None
    if missing := [name for name in _COLUMNS if name not in table]:
        raise click.ClickException(
            f"{path}: no table of `seqexp-tf mutagenesis`: it has no column "
            f"{missing[0]!r}"
        )
    return table


@click.command(help=__doc__)
@click.argument("tables", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--annotation", required=True, type=click.Path(path_type=Path))
def main(tables: tuple[Path, ...], annotation: Path) -> None:
    try:
        features = read_annotation(annotation)
    except SeqExpError as error:
        raise click.ClickException(str(error)) from None
    coding = features[features["feature"] == "CDS"]
    genes = features[features["feature"] == "gene"].set_index("gene_id")["name"]
    contigs = ContigNames({name: 0 for name in coding["contig"].unique()}, {})
    maps = {path: read_map(path) for path in tables}
    rng = np.random.default_rng(0)
    click.echo("| map | gene | stops | their mean | others | their mean | difference |")
    click.echo("|---|---|---:|---:|---:|---:|---|")
    for path, table in maps.items():
        here = coding[
            (coding["contig"] == contigs.resolve(table["contig"].iloc[0]))
            & (coding["strand"] == table["strand"].iloc[0])
            & (coding["end"] >= table["position"].min())
            & (coding["start"] < table["position"].max())
        ]
        for gene, parts in here.groupby("gene_id", sort=False):
            found = mutations(table, parts.drop_duplicates(["start", "end"]))
            if not found["stop"].any():
                continue
            low, high = difference(found, rng)
            stops, others = (
                found.loc[found["stop"] == made, "effect"] for made in (True, False)
            )
            name = genes.get(gene) or gene
            click.echo(
                f"| {path.stem} | {name} | {len(stops)} | {stops.mean():.1f} | "
                f"{len(others)} | {others.mean():.1f} | "
                f"{stops.mean() - others.mean():.1f} [{low:.1f}, {high:.1f}] |"
            )


if __name__ == "__main__":
    main()
