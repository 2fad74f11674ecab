"""The eight mRNA half-life features."""

import numpy as np
import pytest

from seqexp_tf.errors import InputError
from seqexp_tf.genome.alphabet import encode, reverse_complement
from seqexp_tf.genome.annotation import read_annotation
from seqexp_tf.genome.fasta import PackedGenome, pack_fasta, write_fasta
from seqexp_tf.genome.half_life import FEATURES, half_life_features

# 5' UTR 4, CDS 6 + 3 + 6 with the stop, 3' UTR 5; introns 7 (CDS) and 2 (3' UTR).
EXONS = ("GGCAATGAAA", "CCC", "GATTAATT", "CAT")
INTRONS = ("GTTTTAG", "GCGCGCG", "GT")
TRANSCRIPT = "".join(
    piece for pair in zip(EXONS, (*INTRONS, ""), strict=True) for piece in pair
)
EXPECTED = {
    "UTR5LEN_log10": np.log10(4.1),
    "CDSLEN_log10": np.log10(15.1),
    "INTRONLEN_log10": np.log10(16.1),
    "UTR3LEN_log10": np.log10(5.1),
    "UTR5GC": 3 / 4,
    "CDSGC": 5 / 15,
    "UTR3GC": 1 / 5,
    "ORFEXONDENSITY": 1000 * 3 / 15,
}
# 0-based half-open, from the start of the transcript.
PARTS = {
    "exon": [(0, 10), (17, 20), (27, 35), (37, 40)],
    "CDS": [(4, 10), (17, 20), (27, 33)],
}
START, SIZE = 20, 100


@pytest.fixture(scope="module")
def genome(tmp_path_factory) -> PackedGenome:
    """The transcript on the plus strand of I, and on the minus strand of II."""
    folder = tmp_path_factory.mktemp("half_life")
    contig = np.zeros(SIZE, dtype=np.uint8)
    contig[START : START + len(TRANSCRIPT)] = encode(TRANSCRIPT)
    genome = {"I": contig, "II": reverse_complement(contig)}
    write_fasta(folder / "genome.fa", genome)
    return pack_fasta(folder / "genome.fa", folder / "packed")


def _line(kind, start, end, *, strand="+", attributes, contig=None):
    if strand == "-":
        start, end = SIZE - end, SIZE - start
    contig = contig or {"+": "chrI", "-": "chrII"}[strand]
    return f"{contig}\tx\t{kind}\t{start + 1}\t{end}\t.\t{strand}\t.\t{attributes}\n"


def _gff3(*, strand="+", parts=PARTS, gene="g", transcript="t", stop=True, extra=""):
    end = START + len(TRANSCRIPT)
    lines = [
        _line("gene", START, end, strand=strand, attributes=f"ID={gene}"),
        _line(
            "mRNA",
            START,
            end,
            strand=strand,
            attributes=f"ID={transcript};Parent={gene}",
        ),
    ]
    for kind, spans in parts.items():
        for a, b in spans:
            b -= 3 * (kind == "CDS" and b == 33 and not stop)
            lines.append(
                _line(
                    *(kind, START + a, START + b),
                    strand=strand,
                    attributes=f"Parent={transcript}{extra}",
                )
            )
    return "".join(lines)


@pytest.fixture
def features(tmp_path, genome):
    """Writes an annotation and computes the features of its genes."""

    def compute(text: str, name: str = "a.gff3", **options):
        path = tmp_path / name
        path.write_text(text)
        return half_life_features(read_annotation(path), genome, path=path, **options)

    return compute


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("stop", [True, False])
def test_a_gene_made_by_hand(features, strand, stop):
    table = features(_gff3(strand=strand, stop=stop))
    assert list(table) == ["gene", "transcript", *FEATURES]
    assert table.gene.tolist() == ["g"] and table.transcript.tolist() == ["t"]
    for name, value in EXPECTED.items():
        assert table[name][0] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("strand", ["+", "-"])
def test_gtf_with_a_stop_codon_of_its_own(features, strand):
    ids = 'gene_id "g"; transcript_id "t";'
    end = START + len(TRANSCRIPT)
    spans = [("exon", *span) for span in PARTS["exon"]]
    spans += [("CDS", 4, 10), ("CDS", 17, 20), ("CDS", 27, 30), ("stop_codon", 30, 33)]
    lines = [_line("transcript", START, end, strand=strand, attributes=ids)]
    lines += [
        _line(kind, START + a, START + b, strand=strand, attributes=ids)
        for kind, a, b in spans
    ]
    table = features("".join(lines), "a.gtf")
    for name, value in EXPECTED.items():
        assert table[name][0] == pytest.approx(value, abs=1e-12), name


def test_the_order_of_lines_does_not_matter(features):
    lines = _gff3(strand="-").splitlines(keepends=True)
    expected = features("".join(lines))
    shuffled = features("".join(lines[::-1]))
    np.testing.assert_array_equal(expected[list(FEATURES)], shuffled[list(FEATURES)])


def test_the_transcript_with_the_longest_cds(features):
    short = _gff3(transcript="s", parts={"exon": [(0, 40)], "CDS": [(4, 7)]})
    table = features(short + "".join(_gff3().splitlines(keepends=True)[1:]))
    assert table.transcript.tolist() == ["t"]
    assert table.CDSLEN_log10[0] == pytest.approx(EXPECTED["CDSLEN_log10"])


def test_exons_of_several_parents(features):
    both = _gff3().replace("Parent=t\n", "Parent=t,u\n")
    mrna = _line("mRNA", START, START + 60, attributes="ID=u;Parent=g")
    table = features(both + mrna)
    assert table.transcript.tolist() == ["t"]
    assert table.UTR3GC[0] == pytest.approx(EXPECTED["UTR3GC"])


def test_without_exons_the_transcript_ends_bound_the_utrs(features):
    table = features(_gff3(parts={"CDS": PARTS["CDS"]}))
    assert table.UTR5LEN_log10[0] == pytest.approx(np.log10(4.1))
    # Without exons nothing tells the second intron of the 3' UTR.
    assert table.UTR3LEN_log10[0] == pytest.approx(np.log10(7.1))
    assert table.INTRONLEN_log10[0] == pytest.approx(np.log10(14.1))
    utrs = {"five_prime_UTR": [(0, 4)], "three_prime_UTR": [(33, 35), (37, 40)]}
    table = features(_gff3(parts={"CDS": PARTS["CDS"], **utrs}))
    for name, value in EXPECTED.items():
        assert table[name][0] == pytest.approx(value, abs=1e-12), name


def test_nothing_is_nan_without_utr_and_intron(features):
    # ATG AAA CCC ... read as one coding exon without UTR.
    text = _line("CDS", START + 4, START + 10, attributes="ID=c;Parent=t;gene_id=g")
    table = features(text)
    values = table[list(FEATURES)].iloc[0]
    assert np.isfinite(values.to_numpy(float)).all()
    assert (
        values[["UTR5LEN_log10", "INTRONLEN_log10", "UTR3LEN_log10"]].tolist()
        == [pytest.approx(-1)] * 3
    )
    assert values[["UTR5GC", "UTR3GC"]].tolist() == [0, 0]
    assert values["ORFEXONDENSITY"] == pytest.approx(1000 / 6)


def test_unknown_bases_do_not_count(tmp_path):
    write_fasta(tmp_path / "n.fa", {"chrI": encode("GNNNNATGCCCTAA" + "A" * 86)})
    packed = pack_fasta(tmp_path / "n.fa", tmp_path / "packed")
    path = tmp_path / "a.gff3"
    exon = _line("exon", 0, 20, attributes="Parent=t")
    path.write_text(exon + _line("CDS", 5, 14, attributes="Parent=t;gene_id=g"))
    table = half_life_features(read_annotation(path), packed)
    assert table.UTR5GC[0] == 1.0
    assert table.UTR5LEN_log10[0] == pytest.approx(np.log10(5.1))


def test_genes_in_the_order_asked_for(features):
    text = _gff3() + _gff3(strand="-", gene="h", transcript="u")
    assert features(text).gene.tolist() == ["g", "h"]
    table = features(text, genes=["h", "g"])
    assert table.gene.tolist() == ["h", "g"]
    assert table.transcript.tolist() == ["u", "t"]
    assert features(text, genes=[]).shape == (0, 10)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (_gff3(parts={"exon": PARTS["exon"]}), {}, "no CDS on the contigs of the"),
        (_gff3().replace("chrI", "chrV"), {}, "no CDS on the contigs of the genome"),
        (_gff3(), {"genes": ["G"]}, "gene 'G' has no CDS; nearest: g; leave it out"),
        (
            _line("CDS", 90, 120, attributes="Parent=t"),
            {},
            "a feature ends at I:120, but I has 100 bases",
        ),
    ],
)
def test_bad_annotations(features, tmp_path, text, options, message):
    with pytest.raises(InputError, match=message) as caught:
        features(text, **options)
    assert str(tmp_path / "a.gff3") in str(caught.value)


def test_real_yeast(yeast, tmp_path):
    packed = pack_fasta(
        yeast / "genome/Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz",
        tmp_path,
    )
    genes = ["YDR510W", "YIL157C", "YFL039C", "YIL156W"]
    tables = [
        half_life_features(
            read_annotation(yeast / "genome" / name), packed, genes=genes
        )
        for name in (
            "ensembl_annotation.gff3.gz",
            "Saccharomyces_cerevisiae.R64-1-1.96.gtf.gz",
        )
    ]
    values = tables[0].set_index("gene")[list(FEATURES)]
    np.testing.assert_array_equal(values, tables[1][list(FEATURES)])
    bases = 10**values - 0.1
    # SMT3: 102 codons with the stop; COA1: 198; ACT1: one intron of 309 bases.
    assert bases.CDSLEN_log10[["YDR510W", "YIL157C"]].round(6).tolist() == [306, 594]
    assert bases.CDSLEN_log10["YFL039C"] == pytest.approx(1128)
    assert bases.INTRONLEN_log10["YFL039C"] == pytest.approx(309)
    assert values.ORFEXONDENSITY["YFL039C"] == pytest.approx(1000 * 2 / 1128)
    assert values.CDSGC.between(0.35, 0.5).all()
    assert (values.UTR3LEN_log10 == -1).all()
