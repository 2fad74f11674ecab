"""Peaks: the files they come in, and MACS3 itself."""

import gzip
import json
import sys

import numpy as np
import pytest

from seqexp_tf.errors import ConfigError, InputError
from seqexp_tf.genome import peaks
from seqexp_tf.genome.alphabet import UNKNOWN
from seqexp_tf.genome.fasta import write_fasta
from seqexp_tf.genome.intervals import interval_mask
from seqexp_tf.genome.peaks import (
    call_peaks,
    call_signal_peaks,
    genome_size,
    read_narrowpeak,
)
from seqexp_tf.genome.tracks import write_bigwig
from seqexp_tf.simulate import SimulationConfig, simulate

ROW = "chrI\t20\t560\tpeak_1\t268\t.\t1.5\t3\t2.25\t218"
SIZES = {"chrA": 50_000, "chrB": 20_000}
PLANTED = {"chrA": (5_000, 30_000), "chrB": (10_000,)}


@pytest.fixture
def macs3():
    """Skips where the extra ``peaks`` is not installed."""
    pytest.importorskip("MACS3")


@pytest.fixture
def fragments(tmp_path):
    """BEDPE: 100 fragments over each planted place and a few anywhere."""
    rng = np.random.default_rng(0)
    lines = []
    for contig, size in SIZES.items():
        starts = rng.integers(0, size - 300, size // 200).tolist()
        for centre in PLANTED[contig]:
            starts += rng.integers(centre - 150, centre, 100).tolist()
        lines += [f"{contig}\t{start}\t{start + 150}\n" for start in sorted(starts)]
    path = tmp_path / "fragments.bedpe.gz"
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return path


@pytest.fixture
def signal(tmp_path):
    """A bigWig: 1 everywhere, no data in places, peaks of 9 with a top of 20."""
    values = {name: np.ones(size, np.float32) for name, size in SIZES.items()}
    for contig, centres in PLANTED.items():
        for centre in centres:
            values[contig][centre - 200 : centre + 200] = 9
            values[contig][centre + 50 : centre + 60] = 20
    values["chrA"][40_000:45_000] = np.nan
    path = tmp_path / "signal.bw"
    write_bigwig(path, SIZES, values)
    return path


def test_summits_are_kept(tmp_path):
    path = tmp_path / "x.narrowPeak.gz"
    middle = "chrII\t10\t21\tpeak_2\t0\t+\t4\t-1\t-1\t-1"
    path.write_bytes(
        gzip.compress(f"track type=narrowPeak\n{ROW}\n{middle}\n".encode())
    )
    table = read_narrowpeak(path)
    assert table.contig.tolist() == ["chrI", "chrII"]
    assert table.summit.tolist() == [238, 15] and table.summit.dtype == np.int64
    assert table.signal.tolist() == [1.5, 4]
    assert table.p_value.tolist() == [3, -1] and table.q_value.tolist() == [2.25, -1]
    assert table.strand.tolist() == [None, "+"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chrI\t20\t560\tp\t0\t.", "line 2: 6 columns, expected 10 .narrowPeak."),
        (ROW.replace("218", "540"), "line 2: summit offset 540 is outside the peak"),
        (ROW.replace("218", "x"), "line 2: '1.5 3 2.25 x': expected three numbers"),
        (ROW.replace("560", "10"), "line 2: start 20, end 10"),
    ],
)
def test_bad_peaks(tmp_path, line, message):
    path = tmp_path / "x.narrowPeak"
    path.write_text(f"{ROW}\n{line}\n")
    with pytest.raises(InputError, match=message):
        read_narrowpeak(path)


def test_an_empty_peak_file(tmp_path):
    (tmp_path / "x.narrowPeak").write_text("track type=narrowPeak\n")
    with pytest.raises(InputError, match="x.narrowPeak: no peak; call peaks again"):
        read_narrowpeak(tmp_path / "x.narrowPeak")


def test_size_of_a_genome(tmp_path):
    bases = np.array([0, 1, 2, 3, UNKNOWN, UNKNOWN], np.uint8)
    write_fasta(tmp_path / "a.fa", {"chrA": bases, "chrB": bases[:3]})
    assert genome_size(tmp_path / "a.fa") == 7
    (tmp_path / "a.fa.fai").write_text("chrA\t6\t6\t60\t61\nchrB\t3\t20\t60\t61\n")
    assert genome_size(tmp_path / "a.fa.fai") == 9
    (tmp_path / "b.sizes").write_text("chrA\tsix\n")
    with pytest.raises(InputError, match="line 1: .*expected a contig and its length"):
        genome_size(tmp_path / "b.sizes")
    write_fasta(tmp_path / "n.fa", {"chrA": bases[4:]})
    with pytest.raises(InputError, match="no known base"):
        genome_size(tmp_path / "n.fa")


def test_peaks_of_fragments(fragments, tmp_path, macs3):
    out = tmp_path / "out" / "a.narrowPeak"
    call = call_peaks(fragments, out, genome_size=sum(SIZES.values()))
    table = read_narrowpeak(out)
    assert (call.path, call.peaks) == (out, len(table)) == (out, 3)
    for contig, centres in PLANTED.items():
        summits = table.summit[table.contig == contig].to_numpy()
        assert (abs(summits - centres) < 200).all()
    assert call.bases == (table.end - table.start).sum()
    assert out.read_text().startswith("chrA\t")
    log = json.loads(call.log.read_text())
    assert call.log == tmp_path / "out" / "a.narrowPeak.json"
    assert log["command"][:4] == ["macs3", "callpeak", "-t", str(fragments)]
    assert log["genome_size"] == 70_000 and log["peaks"] == 3
    before = out.read_bytes(), call.log.read_bytes()
    call_peaks(fragments, out, genome_size=70_000)
    assert (out.read_bytes(), call.log.read_bytes()) == before


def test_formats_and_arguments_are_passed_on(fragments, tmp_path, macs3, monkeypatch):
    reads = tmp_path / "reads.bed"
    lines = gzip.decompress(fragments.read_bytes()).decode().splitlines()
    reads.write_text("".join(f"{line}\tr\t0\t+\n" for line in lines))
    extra = ("--nomodel", "--extsize", "150")
    call = call_peaks(
        reads, tmp_path / "a.np", genome_size=70_000, format="BED", extra=extra
    )
    assert call.peaks == 3
    assert json.loads(call.log.read_text())["command"][-3:] == list(extra)
    with pytest.raises(InputError, match="macs3 callpeak failed: .*--no-such"):
        call_peaks(reads, tmp_path / "b.np", genome_size=1, extra=("--no-such",))
    with pytest.raises(InputError, match="wrote no narrowPeak file; .*--broad"):
        call_peaks(
            *(fragments, tmp_path / "b.np"), genome_size=70_000, extra=("--broad",)
        )
    # A relative path among them is the caller's; reads are no peaks over themselves.
    monkeypatch.chdir(tmp_path)
    extra = ("--nomodel", "-c", "reads.bed")
    with pytest.raises(InputError, match="macs3 found no peak"):
        call_peaks(reads, "b.np", genome_size=70_000, format="BED", extra=extra)
    assert not (tmp_path / "b.np").exists()


def test_peaks_of_a_signal(signal, tmp_path, macs3):
    call = call_signal_peaks(signal, tmp_path / "a.narrowPeak", cutoff=5)
    table = read_narrowpeak(call.path)
    assert table[["contig", "start", "end"]].values.tolist() == [
        ["chrA", 4_800, 5_200],
        ["chrA", 29_800, 30_200],
        ["chrB", 9_800, 10_200],
    ]
    assert table.summit.tolist() == [5_055, 30_055, 10_055]
    assert call.bases == 1200
    # 1,200 of 70,000 bases reach 9: within the 2 % of the default cutoff.
    same = call_signal_peaks(signal, tmp_path / "b.narrowPeak")
    assert json.loads(same.log.read_text())["cutoff"] == 9
    assert same.path.read_bytes() == call.path.read_bytes()


def test_the_signal_has_no_gaps_to_join(tmp_path, macs3):
    values = np.full(5_000, np.nan, np.float32)
    values[1_000:1_500] = values[2_000:2_500] = 8
    write_bigwig(tmp_path / "a.bw", {"chrA": 5_000}, {"chrA": values})
    call = call_signal_peaks(tmp_path / "a.bw", tmp_path / "a.np", cutoff=2)
    assert read_narrowpeak(call.path).start.tolist() == [1_000, 2_000]
    # More than 2 % of the bases have the highest value, which is then the cutoff.
    call = call_signal_peaks(tmp_path / "a.bw", tmp_path / "b.np")
    assert json.loads(call.log.read_text())["cutoff"] == 8


def test_peaks_of_a_simulated_signal(tmp_path, macs3):
    simulation = simulate(SimulationConfig(contigs=2, contig_length=60_000))
    write_bigwig(tmp_path / "a.bw", simulation.sizes, simulation.accessibility)
    call = call_signal_peaks(tmp_path / "a.bw", tmp_path / "a.np", min_length=50)
    table = read_narrowpeak(call.path)
    assert 0.01 < call.bases / sum(simulation.sizes.values()) < 0.04
    opened = simulation.elements.drop_duplicates("element")
    inside = 0
    for contig, size in simulation.sizes.items():
        here = table[table.contig == contig]
        true = opened[opened.contig == contig]
        mask = interval_mask(true.start - 300, true.end + 300, 0, size)
        inside += mask[here.summit].sum()
    assert inside / len(table) > 0.9


def test_nothing_to_call(fragments, signal, tmp_path, macs3):
    out = tmp_path / "out.narrowPeak"
    (tmp_path / "none.bedpe").write_text("# nothing\n")
    (tmp_path / "words.bedpe").write_text("chrA\tone\t5\n")
    write_bigwig(tmp_path / "flat.bw", {"chrA": 100}, {"chrA": np.zeros(100)})
    for call, message in (
        (
            lambda: call_peaks(tmp_path / "none.bedpe", out, genome_size=9),
            "no fragment",
        ),
        (
            lambda: call_peaks(tmp_path / "words.bedpe", out, genome_size=9),
            "line 1: sta",
        ),
        (lambda: call_peaks(tmp_path / "absent", out, genome_size=9), "no such file"),
        (
            lambda: call_peaks(tmp_path / "a", out, genome_size=9, format="BAM"),
            "no such file",
        ),
        (
            lambda: call_peaks(fragments, out, genome_size=70_000, q_value=1e-300),
            "macs3 found no peak; raise the q value",
        ),
        (lambda: call_signal_peaks(tmp_path / "flat.bw", out), "no value over 0"),
        (lambda: call_signal_peaks(fragments, out), "not a bigWig"),
        (
            lambda: call_signal_peaks(signal, out, cutoff=100),
            r"macs3 found no peak; lower the cutoff \(100\)",
        ),
    ):
        with pytest.raises(InputError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert not out.exists() and not list(tmp_path.glob(".out*"))


def test_bad_options(fragments, signal, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="format = 'SAM'"):
        call_peaks(fragments, out, genome_size=9, format="SAM")
    with pytest.raises(ConfigError, match="q_value = 1"):
        call_peaks(fragments, out, genome_size=9, q_value=1)
    with pytest.raises(ConfigError, match="cutoff = 0"):
        call_signal_peaks(signal, out, cutoff=0)
    with pytest.raises(ConfigError, match="min_length = 0"):
        call_signal_peaks(signal, out, min_length=0)


def test_macs3_is_not_installed(fragments, signal, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    for call in (
        lambda: call_peaks(fragments, tmp_path / "a", genome_size=9),
        lambda: call_signal_peaks(signal, tmp_path / "a"),
    ):
        with pytest.raises(InputError, match=r'pip install "seqexp-tf\[peaks\]"'):
            call()


def test_many_values_are_summed_in_between(signal, tmp_path, monkeypatch, macs3):
    monkeypatch.setattr(peaks, "_LEVELS", 1)
    monkeypatch.setattr(peaks, "_BLOCK", 999)
    call = call_signal_peaks(signal, tmp_path / "a.narrowPeak")
    assert (call.peaks, json.loads(call.log.read_text())["cutoff"]) == (3, 9)


@pytest.mark.slow
def test_real_yeast(yeast, tmp_path, macs3):
    fasta = yeast / "genome/Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz"
    size = genome_size(fasta)
    assert size == 12_157_105
    call = call_peaks(
        yeast / "signals/yeast_500k_SRR1822137.bedpe.gz",
        tmp_path / "a.narrowPeak",
        genome_size=size,
    )
    assert 1500 < call.peaks < 1700
    table = read_narrowpeak(call.path)
    other = read_narrowpeak(
        yeast / "signals/hmmratac_yeast500k_accessible_regions.narrowPeak.gz"
    )
    shared = total = 0
    for contig, theirs in other.groupby("contig"):
        ours = table[table.contig == contig]
        masks = [interval_mask(t.start, t.end, 0, 2_000_000) for t in (ours, theirs)]
        shared += int((masks[0] & masks[1]).sum())
        total += int(masks[1].sum())
    assert shared / total > 0.85
