"""Files of what a model of genes predicts."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqexp_tf.evaluation.gene_masks import GeneMask
from seqexp_tf.genome.vcf import Allele
from seqexp_tf.interpretation.element_files import GenomeMaximum
from seqexp_tf.interpretation.elements import mask_ratio
from seqexp_tf.prediction.gene_variants import gene_effects
from seqexp_tf.prediction.genes import GenePredictor
from seqexp_tf.prediction.outputs import (
    ALLELE_COLUMNS,
    NUMBER,
    NUMBERS,
    TEXT,
    WHOLE,
    allele_table,
    output_format,
    refuse_bigwig,
    table_writer,
    writing,
)
from seqexp_tf.prediction.pieces import in_pieces
from seqexp_tf.prediction.reference import Reference

Progress = Callable[[int], object]
"""Called with the number of genes that are done."""

_ROWS_AT_ONCE = 1024


def write_genes(
    predictor: GenePredictor, split: str, out: Path, *, progress: Progress
) -> list[Path]:
    """Writes expression and mask of every gene of a split.

    A table has gene, name, contig, tss (0-based), strand, split, predicted, target;
    where the model has a mask also mask_ratio (share of the bases whose mask is at
    least 0.5), start and end (of the window on its contig) and, in parquet, mask, from
    left to right. A bigWig is the mask, of every base the largest over genes.

    Raises:
        ConfigError: a bigWig of a model without mask.
    """
    if not predictor.model.has_mask:
        refuse_bigwig(out, what="predictions of a model without a mask")
    found = predictor.predict(split, progress=progress)
    if output_format(out) == "bigwig":
        sizes = predictor.store.manifest["contigs"]
        with writing(out), GenomeMaximum(sizes, out.parent) as maximum:
            for gene in found:
                maximum.add(gene)
            maximum.write(out)
        return [out]
    columns = dict.fromkeys(("gene", "name", "contig"), TEXT) | {"tss": WHOLE}
    columns |= {"strand": TEXT, "split": TEXT, "predicted": NUMBER, "target": NUMBER}
    if predictor.model.has_mask:
        columns |= {"mask_ratio": NUMBER, "start": WHOLE, "end": WHOLE}
        columns["mask"] = NUMBERS
    # Masks are long: a batch is enough.
    with table_writer(out, columns, rows_at_once=1) as table:
        for genes in in_pieces(found, predictor.batch_size):
            table.write(pd.DataFrame([_gene_row(gene) for gene in genes]))
    return [out]


def write_gene_variants(
    predictor: GenePredictor,
    reference: Reference,
    alleles: Iterable[tuple[str, Allele]],
    out: Path,
    *,
    progress: Progress,
) -> tuple[list[Path], int]:
    """Writes what alleles change in the predicted expression of genes.

    A row for each allele and gene in whose window it lies: contig, position (1-based),
    id, ref, alt as in the VCF; gene, name, tss (0-based), strand, split; distance of
    the position from the TSS, negative upstream; reference and alternative prediction
    and their difference, ``effect``.

    Returns:
        What was written, and the number of rows.
    """
    refuse_bigwig(out, what="effects of variants")
    columns = {
        **ALLELE_COLUMNS,
        **dict.fromkeys(("gene", "name"), TEXT),
        "tss": WHOLE,
        **dict.fromkeys(("strand", "split"), TEXT),
        "distance": WHOLE,
        **dict.fromkeys(("reference", "alternative", "effect"), NUMBER),
    }
    effects = gene_effects(predictor, reference, alleles, progress=progress)
    with table_writer(out, columns) as table:
        for piece in in_pieces(effects, _ROWS_AT_ONCE):
            frame = allele_table([effect.allele for effect in piece])
            for name in ("gene", "name", "tss", "gene_strand", "split"):
                frame[name] = [getattr(effect.window, name) for effect in piece]
            away = frame.position - 1 - frame.tss
            frame["distance"] = away.where(frame.gene_strand == "+", -away)
            for name in ("reference", "alternative"):
                frame[name] = [getattr(effect, name) for effect in piece]
            frame["effect"] = frame.alternative - frame.reference
            table.write(frame.rename(columns={"gene_strand": "strand"}))
    return [out], table.rows


def _gene_row(gene: GeneMask) -> dict[str, Any]:
    window = gene.window
    row = {
        "gene": window.gene,
        "name": window.name,
        "contig": window.contig,
        "tss": window.tss,
        "strand": window.gene_strand,
        "split": window.split,
        "predicted": np.float32(gene.prediction),
        "target": np.float32(gene.target),
    }
    if gene.mask is None:
        return row
    return row | {
        "mask_ratio": np.float32(mask_ratio(gene.mask)),
        "start": window.start,
        "end": window.end,
        "mask": gene.mask,
    }
