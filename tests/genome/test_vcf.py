"""Alleles of VCF files, and what is no VCF."""

import gzip

import pytest

from seqexp_tf.errors import InputError
from seqexp_tf.genome.vcf import Allele, read_alleles

HEADER = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def _read(path, text, header=HEADER):
    path.write_text(header + text)
    return list(read_alleles(path))


def test_a_line_for_each_alternative(tmp_path):
    path = tmp_path / "v.vcf"
    found = _read(path, "chr1\t5\trs1\tac\tA,acg,<DEL>,*\t.\t.\t.\n2\t1\t.\tG\tT\n")
    assert [(a.contig, a.position, a.identifier) for a in found] == [
        *[("chr1", 5, "rs1")] * 4,
        ("2", 1, None),
    ]
    assert [a.reference for a in found] == ["AC"] * 4 + ["G"]
    assert [a.alternative for a in found][:2] == ["A", "ACG"]
    assert [a.symbolic for a in found] == [False, False, True, True, False]
    assert found[-1].place == f"{path}: line 4"


def test_gzip_is_read(tmp_path):
    path = tmp_path / "v.vcf.gz"
    path.write_bytes(gzip.compress((HEADER + "1\t2\t.\tA\tG\n").encode()))
    assert len(list(read_alleles(path))) == 1


@pytest.mark.parametrize(
    ("reference", "alternative", "expected"),
    [
        ("A", "G", (9, "A", "G")),
        ("CA", "C", (10, "A", "")),
        ("C", "CTT", (10, "", "TT")),
        ("CAG", "CTG", (10, "A", "T")),
        ("CAGG", "CTTGG", (10, "A", "TT")),
        ("A", "A", (9, "A", "A")),
        ("CAC", "C", (10, "AC", "")),
        ("CAC", "AC", (9, "C", "")),
    ],
)
def test_what_alleles_share_is_trimmed(reference, alternative, expected):
    allele = Allele("v", "1", 10, None, reference, alternative)
    assert allele.trimmed() == expected


@pytest.mark.parametrize(
    "alternative", ["<DUP:TANDEM>", "]chr2:5]A", "A[chr2:5[", ".A", "*", "."]
)
def test_alternatives_without_sequence_are_marked(tmp_path, alternative):
    (allele,) = _read(tmp_path / "v.vcf", f"1\t1\t.\tA\t{alternative}\n")
    assert allele.symbolic


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\t2\t.\tA\n", "line 3: 4 columns, expected at least 5, separated by tabs"),
        ("1 2 . A G\n", "line 3: 1 columns"),
        ("1\t-2\t.\tA\tG\n", "line 3: POS '-2' must be a whole number"),
        ("1\t0\t.\tA\tG\n", "line 3: POS 0; positions count from 1"),
        ("1\t2\t.\tA-\tG\n", "line 3: REF 'A-' is no sequence"),
        ("1\t2\t.\tA\tG?\n", "line 3: ALT 'G\\?' is no sequence"),
    ],
)
def test_malformed_lines_are_named(tmp_path, text, message):
    with pytest.raises(InputError, match=f"v.vcf: {message}"):
        _read(tmp_path / "v.vcf", text)


def test_a_file_without_a_header_is_refused(tmp_path):
    with pytest.raises(InputError, match="line 1: not a VCF"):
        _read(tmp_path / "v.vcf", "1\t2\t.\tA\tG\n", header="")
    for text in ("", "##fileformat=VCFv4.5\n"):
        with pytest.raises(InputError, match="v.vcf: not a VCF: it ends without a"):
            _read(tmp_path / "v.vcf", "", header=text)
    with pytest.raises(InputError, match="line 1: columns '#CHROM POS': expected|line"):
        _read(tmp_path / "v.vcf", "", header="#CHROM\tPOS\n")
