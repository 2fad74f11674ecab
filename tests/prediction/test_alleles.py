"""Windows of both alleles line up, and effects compare bases with themselves."""

import dataclasses

import numpy as np
import pytest

from seqexp_tf.errors import InputError
from seqexp_tf.genome.alphabet import decode
from seqexp_tf.genome.vcf import Allele
from seqexp_tf.prediction.alleles import allele_windows
from seqexp_tf.prediction.joint import predict_bases
from seqexp_tf.prediction.reference import check_vcf

WINDOW = 40


def _allele(contigs, contig, position, replaced, alternative):
    text = contigs[contig][position - 1 : position - 1 + replaced]
    return Allele("v: line 1", contig, position, None, text, alternative or text[0])


def _mutated(contigs, allele):
    text, at = contigs[allele.contig], allele.position - 1
    return text[:at] + allele.alternative + text[at + len(allele.reference) :]


CASES = [
    ("chr1", 200, 1, "T"),  # another base, or none: then nothing changes
    ("chr1", 200, 4, None),  # deletion of three
    ("chr1", 200, 1, "ACCGGTTA"),
    ("chr1", 200, 3, "GATTACA"),
    ("chr1", 1, 1, "C"),
    ("chr1", 1, 6, None),
    ("chr1", 400, 1, "G"),
    ("chr1", 395, 6, None),
    ("chr1", 400, 1, "GATTACA"),
    ("chr1", 150, 90, None),  # longer than a window
    ("chr1", 150, 1, "ACGT" * 30),
    ("chr2", 61, 1, "A"),
    ("chr10", 15, 3, None),  # contig shorter than the window
    ("chr10", 15, 1, "ACGTACGTACGTACGT"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case))[:24])
def test_windows_are_cut_out_of_both_genomes(reference, contigs, case):
    allele = _allele(contigs, *case)
    found = allele_windows(reference, case[0], allele, window=WINDOW)
    text, changed = contigs[case[0]], _mutated(contigs, allele)
    start, replaced, inserted = allele.trimmed()
    assert len(found.reference) == min(WINDOW, len(text))
    assert len(found.alternative) == min(WINDOW, len(changed))
    for window, whole, place, size, bases in [
        (found.reference, text, found.places[0], found.sizes[0], replaced),
        (found.alternative, changed, found.places[1], found.sizes[1], inserted),
    ]:
        low = start - place
        assert low >= 0
        assert decode(window) == whole[low : low + len(window)]
        assert size == min(len(bases), len(window) - place)
        assert max(len(bases), 1) > WINDOW // 2 or size == len(bases)
    assert found.before >= min(start, WINDOW // 4)


@pytest.mark.parametrize("position", [60, 200, 341])
def test_the_allele_lies_in_the_middle(reference, contigs, position):
    allele = _allele(contigs, "chr1", position, 1, "ACGT")
    found = allele_windows(reference, "chr1", allele, window=WINDOW)
    assert abs(found.before - WINDOW // 2) <= 1


def _effects(model, reference, contigs, case):
    allele = _allele(contigs, *case)
    windows = allele_windows(reference, case[0], allele, window=WINDOW)
    p, q = predict_bases(model, [windows.reference, windows.alternative], batch_size=32)
    return allele, windows.effects(p, q)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case))[:24])
def test_effects_of_a_model_of_single_bases(
    base_model, reference, contigs, level, case
):
    """Only the bases of the alleles themselves change."""
    allele, found = _effects(base_model, reference, contigs, case)
    _, replaced, inserted = allele.trimmed()
    if max(len(replaced), len(inserted)) > WINDOW // 2:
        return
    complement = str.maketrans("ACGT", "TGCA")
    paired = min(len(replaced), len(inserted))
    for strand, (old, new) in enumerate(
        [
            (replaced, inserted),
            (replaced.translate(complement), inserted.translate(complement)),
        ]
    ):
        p, q = level(old), level(new)
        assert found["expressed"][strand] == pytest.approx(q.sum() - p.sum(), abs=1e-5)
        odds = [np.log(x[:paired] / (1 - x[:paired])).sum() for x in (p, q)]
        assert found["log_odds"][strand] == pytest.approx(odds[1] - odds[0], abs=1e-4)


def test_bases_that_moved_are_compared_with_themselves(base_model, reference, contigs):
    """A model that sees what lies before a base: a change reaches to its right."""

    def answer(inputs, outputs):
        rows = []
        for dna in inputs["dna"]:
            codes = np.frombuffer(dna, np.uint8) % 7
            share = np.convolve(codes, [1, 2, 3])[: codes.size] / 40
            rows.append(share.clip(0.05, 0.95))
        return {"expression": np.array(rows, np.float32)}

    model = dataclasses.replace(base_model, answer=answer)
    allele, found = _effects(model, reference, contigs, ("chr1", 200, 4, None))
    text, changed = contigs["chr1"], _mutated(contigs, allele)
    whole = [
        answer({"dna": [t.encode()]}, None)["expression"][0].astype(float)
        for t in (text, changed)
    ]
    p = np.delete(whole[0], slice(200, 203))[160:250]
    q = whole[1][160:250]
    odds = np.log(q / (1 - q)) - np.log(p / (1 - p))
    # Both windows of the model begin inside of what is compared here.
    assert found["log_odds"][0] == pytest.approx(odds.sum(), abs=1e-4)
    assert abs(odds.sum()) > 0.01


def _vcf(path, *lines):
    rows = "".join("\t".join(map(str, line)) + "\n" for line in lines)
    path.write_text(f"##x\n#CHROM\tPOS\tID\tREF\tALT\n{rows}")
    return path


def test_reference_bases_are_checked(reference, contigs, tmp_path):
    base = contigs["chr1"][49]
    other = "ACGT"[("ACGT".index(base) + 1) % 4]
    path = tmp_path / "v.vcf"
    good = (1, 50, ".", base, other)
    count = check_vcf(_vcf(path, good, (1, 50, ".", "N", "<INS>,A")), reference)
    assert (count.usable, count.symbolic) == (2, 1)
    for line, message in [
        (
            (1, 50, ".", other, base),
            f"line 4: 1:50 has REF '{other}', but .*genome.fa has '{base}' there",
        ),
        (("chr7", 50, ".", "A", "C"), "line 4: .* no contig 'chr7'; nearest: chr2"),
        ((2, 62, ".", "A", "C"), "line 4: 2:62 .* past the end .* 61 bases"),
        ((2, 61, ".", "NN", "C"), "line 4: 2:61 with REF 'NN' goes past the end"),
    ]:
        with pytest.raises(InputError, match=message):
            check_vcf(_vcf(path, good, line), reference)
    with pytest.raises(InputError, match="no alternative allele of bases$"):
        check_vcf(_vcf(path), reference)
    with pytest.raises(InputError, match="only 1 symbolic ones"):
        check_vcf(_vcf(path, (1, 50, ".", base, "<DEL>")), reference)
