"""Contig names and the preflight."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqexp_tf.errors import InputError
from seqexp_tf.genome.contigs import ContigInput, ContigNames, preflight
from seqexp_tf.genome.fasta import pack_fasta
from seqexp_tf.genome.tracks import BigWigTrack

ROMAN = "I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI".split()
YEAST = dict.fromkeys([*ROMAN, "Mito"], 1000)
HUMAN = dict.fromkeys(["chr" + name for name in [*map(str, range(1, 23)), *"XYM"]], 9)
WORM = dict.fromkeys(["I", "II", "III", "IV", "V", "X", "MtDNA"], 1000)


def spellings(number: int) -> list[str]:
    """Every spelling of a yeast chromosome, 1 to 16; 17 is the mitochondrion."""
    if number == 17:
        bodies = ["M", "MT", "Mito", "mt"]
        accession = "NC_001224"
    else:
        bodies = [ROMAN[number - 1], str(number), f"{number:02d}"]
        accession = f"NC_{1132 + number:06d}"
    prefixes = ["", "chr", "Chr", "CHR"]
    return [p + b for p in prefixes for b in bodies] + [accession, accession + ".9"]


STYLES = {
    "roman": [*ROMAN, "Mito"],
    "ucsc": [*("chr" + name for name in ROMAN), "chrM"],
    "refseq": [f"NC_{1132 + n:06d}.1" for n in range(1, 17)] + ["NC_001224.1"],
}


@pytest.mark.parametrize("style", STYLES)
@given(number=st.integers(1, 17), data=st.data())
def test_yeast_spellings_mean_one_contig(style, number, data):
    names = ContigNames(dict.fromkeys(STYLES[style], 1000))
    spelling = data.draw(st.sampled_from(spellings(number)))
    assert names.resolve(spelling) == STYLES[style][number - 1]


def test_arabic_reference_reads_x_as_ten_only_among_numerals():
    names = ContigNames({f"chr{number}": 1000 for number in range(1, 17)})
    assert names.resolve("chrIV") == names.resolve("IV") == "chr4"
    assert names.resolve("chrX") is None
    assert names.resolve("chrX", among=["chrIX", "chrX"]) == "chr10"
    assert names.resolve("chrX", among=["chrI", "chrV", "chrX"]) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("X", "chrX"),
        ("CHRX", "chrX"),
        ("10", "chr10"),
        ("NC_000010.11", "chr10"),
        ("NC_000023", "chrX"),
        ("NC_000024.10", "chrY"),
        ("NC_012920.1", "chrM"),
        ("MT", "chrM"),
        ("NC_001142", None),
        ("NC_000025", None),
        ("chrUn_KI270442v1", None),
        ("", None),
        ("chr", None),
    ],
)
def test_human_names(name, expected):
    assert ContigNames(HUMAN).resolve(name) == expected


def test_human_x_never_becomes_ten():
    without_x = {name: 9 for name in HUMAN if name != "chrX"}
    for among in ([], HUMAN, ["chrX"]):
        assert ContigNames(without_x).resolve("chrX", among=among) is None
        assert ContigNames(without_x).resolve("X", among=among) is None
    assert ContigNames(without_x).resolve("NC_000023.11") is None


def test_worm_x_is_a_sex_chromosome():
    names = ContigNames(WORM)
    assert names.resolve("chrX") == "X"
    assert names.resolve("10") is None
    assert names.resolve("chr4") == "IV"
    assert names.resolve("chrM") == "MtDNA"


def test_accessions_of_another_organism_do_not_resolve():
    assert ContigNames(YEAST).resolve("NC_000001.11") is None
    assert ContigNames(YEAST).resolve("NC_012920") is None
    assert ContigNames(YEAST).resolve("NC_001224.1") == "Mito"


def test_exact_name_then_alias_come_first():
    names = ContigNames({"1": 5, "chr1": 6, "plasmid": 7}, aliases={"2u": "plasmid"})
    assert names.resolve("1") == "1"
    assert names.resolve("chr1") == "chr1"
    assert names.resolve("CHR1") is None  # it could be either
    assert names.resolve("2u") == "plasmid"
    with pytest.raises(InputError, match="alias '2u' = 'plasmod'.*nearest: plasmid"):
        ContigNames({"plasmid": 7}, aliases={"2u": "plasmod"})


def source(label: str, sizes: dict) -> ContigInput:
    return ContigInput(label, Path(f"{label}.file"), sizes)


def test_preflight_translates_names():
    reference = source("fasta", {"I": 100, "II": 200, "X": 300, "IX": 50})
    arabic = source("hic", {"chr1": 100, "chr2": 200, "chr9": 50, "chr10": 300})
    bed = source("peaks", {"chrX": None, "chrII": None, "chrIX": None, "chrI": None})
    found = preflight(reference, [arabic, bed])
    assert list(found.sizes.items()) == [
        ("I", 100),
        ("II", 200),
        ("X", 300),
        ("IX", 50),
    ]
    assert found.names["hic"] == {"I": "chr1", "II": "chr2", "X": "chr10", "IX": "chr9"}
    assert found.names["peaks"]["X"] == "chrX"
    assert found.names["fasta"] == {name: name for name in found.sizes}
    assert found.dropped == {}


def test_preflight_reads_x_by_the_whole_file():
    reference = source("fasta", {f"chr{number}": number for number in range(1, 17)})
    roman = {f"chr{name}": number for number, name in enumerate(ROMAN, start=1)}
    found = preflight(reference, [source("bw", roman)])
    assert found.names["bw"]["chr10"] == "chrX"


def test_missing_contig():
    reference = source("fasta", {"I": 100, "II": 200, "Mito": 9})
    other = source("rna", {"chrI": 100, "chrII": 200, "spike": 7})
    with pytest.raises(InputError) as caught:
        preflight(reference, [other])
    for part in ("rna.file", "lacks contig Mito", "chrI", 'on_missing = "drop"'):
        assert part in str(caught.value)
    found = preflight(reference, [other], on_missing="drop")
    assert found.sizes == {"I": 100, "II": 200}
    assert found.dropped == {"Mito": "missing from rna (rna.file)"}
    assert "Mito" not in found.names["fasta"]
    assert found.extra == {"fasta": (), "rna": ("spike",)}
    assert found.table().splitlines() == [
        "input  file        contigs  used  missing  extra",
        "fasta  fasta.file  3        2     -        -",
        "rna    rna.file    3        2     Mito     spike",
    ]


def test_wanted_contigs():
    reference = source("fasta", {"I": 100, "II": 200, "Mito": 9})
    other = source("rna", {"chrI": 100, "chrII": 201})
    found = preflight(reference, [other], contigs=["chr1"])
    assert found.sizes == {"I": 100}
    with pytest.raises(InputError, match="no contig 'chrIIV'; nearest: "):
        preflight(reference, [other], contigs=["chrIIV"])
    with pytest.raises(InputError, match="'I' is wanted twice, as 'I' and 'chr1'"):
        preflight(reference, [other], contigs=["I", "chr1"])


@pytest.mark.parametrize("on_missing", ["error", "drop"])
def test_lengths_must_agree(on_missing):
    with pytest.raises(InputError) as caught:
        preflight(
            source("fasta", {"I": 230218}),
            [source("rna", {"chrI": 230208})],
            on_missing=on_missing,
        )
    message = str(caught.value)
    for part in ("rna.file", "fasta.file", "230218", "230208", "another assembly?"):
        assert part in message


@pytest.mark.parametrize(
    ("others", "options", "message"),
    [
        ([{"chrI": 9, "I": 9}], {}, "'chrI' and 'I' both mean contig 'I'"),
        ([{"chr7": 9}], {"on_missing": "drop"}, "no contig is in all inputs"),
        ([{"I": 9}, {"I": 9}], {}, "two inputs are labelled 'rna'"),
    ],
)
def test_other_faults(others, options, message):
    with pytest.raises(InputError, match=message):
        preflight(
            source("fasta", {"I": 9}),
            [source("rna", sizes) for sizes in others],
            **options,
        )


def test_user_alias_in_preflight():
    reference, other = source("fasta", {"plasmid": 7}), source("rna", {"2micron": 7})
    found = preflight(reference, [other], aliases={"2micron": "plasmid"})
    assert found.names["rna"] == {"plasmid": "2micron"}


def test_yeast_files_agree_under_four_spellings(yeast, tmp_path):
    fasta = yeast / "genome/Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz"
    sizes = pack_fasta(fasta, tmp_path).sizes
    with BigWigTrack(yeast / "rna/rna_pooled46_rpm.plus.bw") as track:
        bigwig = ContigInput("rna", track.path, track.sizes)
    nuclear = list(sizes.values())[:16]
    arabic = {f"chr{number}": size for number, size in enumerate(nuclear, start=1)}
    refseq = {f"NC_{1132 + n:06d}.9": size for n, size in enumerate(nuclear, start=1)}
    found = preflight(
        ContigInput("fasta", fasta, sizes),
        [bigwig, source("hic", arabic), source("refseq", refseq)],
        on_missing="drop",
    )
    assert list(found.sizes) == ROMAN
    assert found.names["rna"] == {name: f"chr{name}" for name in ROMAN}
    assert found.names["hic"] == dict(zip(ROMAN, arabic, strict=True))
    assert found.names["refseq"] == dict(zip(ROMAN, refseq, strict=True))
    assert list(found.dropped) == ["Mito"]
