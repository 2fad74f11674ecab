"""FASTA to a packed genome and back."""

import gzip
import pickle
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp_tf.errors import ConfigError, InputError
from seqexp_tf.genome import fasta as module
from seqexp_tf.genome.alphabet import decode, encode
from seqexp_tf.genome.fasta import PackedGenome, pack_fasta, write_fasta


def pack(tmp_path, content: bytes, name="genome.fa", **options) -> PackedGenome:
    path = tmp_path / name
    path.write_bytes(content)
    return pack_fasta(path, tmp_path / "packed", **options)


def test_small_genome(tmp_path):
    genome = pack(tmp_path, b"\n>one first\r\nACG\r\nTN\r\n\r\n>two\nacgtnRyU")
    assert genome.sizes == {"one": 5, "two": 8}
    assert genome.fetch("one", 0, 5).tolist() == [0, 1, 2, 3, 4]
    assert genome.fetch("two", 0, 8).tolist() == [0, 1, 2, 3, 4, 4, 4, 3]
    assert genome.fetch("two", 1, 3).dtype == np.uint8
    assert genome.fetch("two", 3, 3).shape == (0,)
    assert (genome.lower_case, genome.unknown, genome.ambiguous) == (6, 2, 2)


def test_soft_masked_bases_can_become_unknown(tmp_path):
    genome = pack(tmp_path, b">a\nACgtNnr\n", soft_masked="N")
    assert genome.fetch("a", 0, 7).tolist() == [0, 1, 4, 4, 4, 4, 4]
    assert (genome.lower_case, genome.unknown, genome.ambiguous) == (4, 2, 1)
    with pytest.raises(ConfigError, match="soft_masked = 'drop'"):
        pack(tmp_path, b">a\nA\n", soft_masked="drop")


def test_gzip_members_under_any_name(tmp_path):
    members = gzip.compress(b">a\nAC") + gzip.compress(b"GT\n>b\nTT\n")
    for name in ("genome.fa.gz", "genome.fa"):
        genome = pack(tmp_path, members, name=name)
        assert genome.sizes == {"a": 4, "b": 2}
        assert decode(genome.fetch("a", 0, 4)) == "ACGT"


@settings(max_examples=60)
@given(
    contigs=st.lists(st.text("ACGTNacgtn", min_size=1, max_size=40), min_size=1),
    line=st.integers(1, 9),
    chunk=st.integers(1, 23),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_chunk_borders_do_not_matter(tmp_path_factory, contigs, line, chunk, end):
    tmp_path = tmp_path_factory.mktemp("chunks")
    parts = []
    for number, text in enumerate(contigs):
        rows = [text[at : at + line] for at in range(0, len(text), line)]
        parts.append(end.join([f">c{number} with > inside", *rows]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", chunk)
        genome = pack(tmp_path, end.join(parts).encode())
    for number, text in enumerate(contigs):
        found = genome.fetch(f"c{number}", 0, len(text))
        np.testing.assert_array_equal(found, encode(text))
    everything = "".join(contigs)
    assert genome.lower_case == sum(letter.islower() for letter in everything)
    assert genome.unknown == everything.upper().count("N")


@pytest.mark.parametrize("chunk", [3, 1 << 22])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"ACGT\n", "not a FASTA: it begins with 'A', expected '>'"),
        (b"@read\nACGT\n+\nIIII\n", "it begins with '@'"),
        (b">a\nAC\nA*GT\n", "line 3: '*' is no nucleotide"),
        (b">a\nACGT\n>b\nAC-T\n", "line 4: '-' is no nucleotide"),
        (b">a\nAC GT\n", "line 2: ' ' is no nucleotide"),
        (b">a\nAC\xffGT\n", "line 2: '\u00ff' is no nucleotide"),
        (b">a\nAC\nAC>b\nGT\n", "line 3: '>' inside a sequence line"),
        (b">a\nAC\n>a\nGT\n", "line 3: contig 'a' appears twice"),
        (b">\nACGT\n", "line 1: a header without a contig name"),
        (b"> a\nACGT\n", "line 1: a header without a contig name"),
        (b">a\n>b\nACGT\n", "line 1: contig 'a' has no sequence"),
        (b">a\nACGT\n>b\n", "line 3: contig 'b' has no sequence; add"),
        (b">a\nACGT\n>b", "line 3: contig 'b' has no sequence; add"),
    ],
)
def test_bad_files(tmp_path, monkeypatch, chunk, content, message):
    monkeypatch.setattr(module, "_CHUNK", chunk)
    with pytest.raises(InputError) as caught:
        pack(tmp_path, content)
    assert message in str(caught.value)
    assert str(tmp_path / "genome.fa") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "packed").iterdir()) == []


def test_endless_header(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 1 << 16)
    with pytest.raises(InputError, match="header without end"):
        pack(tmp_path, b">" + b"x" * (1 << 21))


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_truncated_gzip(tmp_path, cut):
    whole = gzip.compress(b">a\n" + b"ACGTTGCA" * 500)
    with pytest.raises(InputError, match="truncated or damaged gzip"):
        pack(tmp_path, whole[:-cut], name="genome.fa.gz")


def test_fetch_refuses_what_is_outside(tmp_path):
    genome = pack(tmp_path, b">chrI\nACGT\n>chrII\nTTTT\n")
    for start, end in ((-1, 2), (0, 5), (3, 2)):
        with pytest.raises(InputError, match=f"chrI:{start}-{end}"):
            genome.fetch("chrI", start, end)
    with pytest.raises(InputError, match="no contig 'chrIII'; nearest: chrII"):
        genome.fetch("chrIII", 0, 1)


def test_reopened_and_pickled_genome_is_the_same(tmp_path):
    genome = pack(tmp_path, b">a\nACGTn\n>b\nTT\n")
    assert PackedGenome.open(tmp_path / "packed") == genome
    genome.fetch("a", 0, 1)
    copy = pickle.dumps(genome)
    assert len(copy) < 500
    assert pickle.loads(copy).fetch("b", 0, 2).tolist() == [3, 3]


def test_damaged_packed_genome(tmp_path):
    pack(tmp_path, b">a\nACGT\n")
    folder = tmp_path / "packed"
    description = (folder / "genome.json").read_text()
    (folder / "genome.bin").write_bytes(b"\0\1\2")
    with pytest.raises(InputError, match="3 bytes, but genome.json says 4"):
        PackedGenome.open(folder)
    for text in ("{", "{}", "[]", description.replace('"format": 1', '"format": 9')):
        (folder / "genome.json").write_text(text)
        with pytest.raises(InputError, match="not a packed genome"):
            PackedGenome.open(folder)
    with pytest.raises(InputError, match="genome.json is missing"):
        PackedGenome.open(tmp_path)


def test_a_failed_pack_keeps_the_former_genome(tmp_path):
    before = pack(tmp_path, b">a\nACGT\n")
    with pytest.raises(InputError):
        pack(tmp_path, b">b\nAC!T\n")
    assert PackedGenome.open(tmp_path / "packed") == before


def test_progress_counts_all_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 7)
    seen = []
    content = b">a\n" + b"ACGT" * 10
    pack(tmp_path, content, progress=seen.append)
    assert sum(seen) == len(content)
    assert max(seen) <= 7


@settings(max_examples=40)
@given(
    texts=st.dictionaries(
        st.from_regex(r"[A-Za-z0-9_.|]{1,8}", fullmatch=True),
        st.text("ACGTN", min_size=1, max_size=200),
        min_size=1,
        max_size=4,
    ),
    line=st.integers(1, 70),
)
def test_written_fasta_reads_back(tmp_path_factory, texts, line):
    tmp_path = tmp_path_factory.mktemp("written")
    path = tmp_path / "x.fa"
    write_fasta(path, {name: encode(text) for name, text in texts.items()}, line=line)
    genome = pack_fasta(path, tmp_path)
    assert list(genome.sizes) == list(texts)
    for name, text in texts.items():
        assert decode(genome.fetch(name, 0, len(text))) == text
    assert max(map(len, path.read_text().splitlines()[1:])) <= max(line, 9)


def test_write_fasta_literal(tmp_path):
    write_fasta(tmp_path / "x.fa", {"a": encode("ACGTN"), "b": encode("TT")}, line=2)
    assert (tmp_path / "x.fa").read_text() == ">a\nAC\nGT\nN\n>b\nTT\n"


@pytest.mark.parametrize(
    ("name", "indices"), [("a b", [0]), ("", [0]), ("a", []), ("a", [5]), ("a", [-1])]
)
def test_write_fasta_refuses(tmp_path, name, indices):
    with pytest.raises(InputError, match="x.fa"):
        write_fasta(tmp_path / "x.fa", {name: np.array(indices, dtype=np.int8)})
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_contig(tmp_path):
    line = b"ACGTNacgtn" * 6 + b"\n"
    path = tmp_path / "big.fa"
    with path.open("wb") as stream:
        stream.write(b">a\n")
        for _ in range(100):
            stream.write(line * 20_000)
    tracemalloc.start()
    genome = pack_fasta(path, tmp_path / "packed")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert genome.sizes == {"a": 120_000_000}
    assert peak < 64e6


def test_a_full_disk_is_not_blamed_on_the_fasta(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_bytes(b">chr1\n" + b"ACGT" * 500_000)
    code = (
        "import resource, signal, sys\n"
        "from seqexp_tf.errors import DatasetError\n"
        "from seqexp_tf.genome.fasta import pack_fasta\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: pack_fasta(sys.argv[1], sys.argv[2])\n"
        "except DatasetError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path, tmp_path / "packed"],
        capture_output=True,
        text=True,
    )
    assert "cannot write: File too large" in done.stdout, done.stderr
    assert not (tmp_path / "packed" / "genome.bin").exists()
