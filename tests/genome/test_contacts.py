"""Contact of every bin of a window with the TSS."""

import pickle
import struct
import sys
import time

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.errors import ConfigError, InputError
from seqexp_tf.genome.annotation import sequence_regions
from seqexp_tf.genome.contacts import ContactMap, ContactValues
from seqexp_tf.genome.power_law import PowerLaw
from seqexp_tf.simulate import SimulationConfig, simulate
from seqexp_tf.simulate.cool import write_cool

cooler = pytest.importorskip("cooler")
hictkpy = pytest.importorskip("hictkpy")

STEP = 1000
SIZES = {"chrI": 40_300, "chrIV": 20_000}
PLAIN = ContactValues(transform="none")


def _symmetric(bins: int, seed: int) -> np.ndarray:
    counts = np.triu(np.random.default_rng(seed).poisson(5, (bins, bins)))
    return counts + np.triu(counts, 1).T


COUNTS = {"chrI": _symmetric(41, 0), "chrIV": _symmetric(20, 1)}
WEIGHTS = {
    name: np.random.default_rng(2).uniform(0.1, 0.3, len(counts))
    for name, counts in COUNTS.items()
}
WEIGHTS["chrI"][[5, 12]] = np.nan


def _write_cool(uri, sizes=SIZES, *, step=STEP, weight="weight"):
    """Bins and pixels of ``COUNTS``, contacts between contigs included."""
    bins = pd.concat(
        [
            pd.DataFrame(
                {
                    "chrom": name,
                    "start": np.arange(0, size, step),
                    "end": np.minimum(np.arange(0, size, step) + step, size),
                    **({weight: WEIGHTS[own]} if weight else {}),
                }
            )
            for (name, size), own in zip(sizes.items(), COUNTS, strict=True)
        ],
        ignore_index=True,
    )
    pixels = _pixels()
    cooler.create_cooler(str(uri), bins, pixels, ordered=True, mode="a")


def _pixels() -> pd.DataFrame:
    total = sum(map(len, COUNTS.values()))
    whole = np.full((total, total), 7)  # between contigs
    at = 0
    for counts in COUNTS.values():
        whole[at : at + len(counts), at : at + len(counts)] = counts
        at += len(counts)
    one, two = np.nonzero(np.triu(whole))
    return pd.DataFrame({"bin1_id": one, "bin2_id": two, "count": whole[one, two]})


@pytest.fixture(scope="module")
def cool(tmp_path_factory):
    path = tmp_path_factory.mktemp("cool") / "a.cool"
    _write_cool(path)
    return path


@pytest.fixture(scope="module")
def hic(tmp_path_factory):
    """A .hic file with a VC normalisation, of which chrIV has none."""
    path = tmp_path_factory.mktemp("hic") / "a.hic"
    writer = hictkpy.hic.FileWriter(path, SIZES, [STEP, 2 * STEP])
    writer.add_pixels(_pixels())
    writer.finalize()
    _add_norm(path, "VC", 1, 1 / WEIGHTS["chrI"])
    return path


def _add_norm(path, name: str, contig: int, divisors: np.ndarray) -> None:
    """Appends a normalisation to a .hic file that ends in an empty index of them.

    Layout: .hic version 9, github.com/aidenlab/hic-format.
    """
    data = bytearray(path.read_bytes())
    lengths = data.index(0, 16) + 1
    index, size = struct.unpack_from("<qq", data, lengths)
    assert index + size == len(data) and size == 4
    values = struct.pack("<q", len(divisors)) + divisors.astype("<f4").tobytes()
    entry = name.encode() + b"\0" + struct.pack("<i", contig) + b"BP\0"
    entry += struct.pack("<i", STEP)
    size += len(entry) + 16
    struct.pack_into("<q", data, lengths + 8, size)
    located = struct.pack("<qq", index + size, len(values))
    path.write_bytes(data[:index] + struct.pack("<i", 1) + entry + located + values)


def _balanced(contig: str) -> np.ndarray:
    return COUNTS[contig] * np.outer(WEIGHTS[contig], WEIGHTS[contig])


def test_a_window_inside_its_contig(cool):
    contacts = ContactMap.open(cool, values=PLAIN)
    assert contacts.resolution == STEP and contacts.sizes == SIZES
    values, offset = contacts.to_tss("chrI", 20_499, 15_250, 25_250)
    assert values.dtype == np.float32 and values.shape == (11,) and offset == 250
    np.testing.assert_allclose(values, _balanced("chrI")[20, 15:26], rtol=1e-6)
    # The base 10,000 before the last of the window is in the bin that says so.
    assert (0 + offset) // STEP == 0 and (9_999 + offset) // STEP == 10


@pytest.mark.parametrize("contig", list(SIZES))
def test_every_tss_against_the_dense_matrix(cool, contig):
    contacts = ContactMap.open(cool, values=PLAIN)
    dense = np.nan_to_num(_balanced(contig))
    bins = len(dense)
    for row in range(bins):
        tss = min(row * STEP + 37, SIZES[contig] - 1)
        values, offset = contacts.to_tss(contig, tss, tss - 6000, tss + 6000)
        first = (tss - 6000) // STEP
        assert offset == tss - 6000 - first * STEP
        padded = np.zeros(values.size)
        inside = slice(max(0, first), min(first + values.size, bins))
        padded[inside.start - first : inside.stop - first] = dense[row, inside]
        np.testing.assert_allclose(values, padded, rtol=1e-6)


def test_nothing_shifts_past_the_ends(cool):
    contacts = ContactMap.open(cool, values=PLAIN)
    dense = _balanced("chrIV")
    values, offset = contacts.to_tss("chrIV", 100, -5_400, 25_100)
    assert offset == 600 and values.size == 32
    np.testing.assert_array_equal(values[:6], 0)
    np.testing.assert_allclose(values[6:26], dense[0], rtol=1e-6)
    np.testing.assert_array_equal(values[26:], 0)
    values, offset = contacts.to_tss("chrIV", 100, 30_000, 32_000)
    assert offset == 0 and values.tolist() == [0, 0]
    assert contacts.to_tss("chrIV", 100, -2_000, 0)[0].tolist() == [0, 0]


def test_a_window_away_from_the_tss(cool):
    contacts = ContactMap.open(cool, values=PLAIN)
    near, _ = contacts.to_tss("chrI", 500, 0, 3_000)
    far, _ = contacts.to_tss("chrI", 500, 30_000, 40_300)
    np.testing.assert_allclose(far, _balanced("chrI")[0, 30:41], rtol=1e-6)
    np.testing.assert_allclose(near, _balanced("chrI")[0, :3], rtol=1e-6)


def test_transform_counts_and_missing_bins(cool):
    window = ("chrI", 10_500, 3_000, 18_000)
    counts, _ = ContactMap.open(cool, balance="none", values=PLAIN).to_tss(*window)
    np.testing.assert_array_equal(counts, COUNTS["chrI"][10, 3:18])
    logs, _ = ContactMap.open(cool, balance="none").to_tss(*window)
    np.testing.assert_allclose(logs, np.log10(COUNTS["chrI"][10, 3:18] + 1), rtol=1e-6)
    balanced, _ = ContactMap.open(cool, values=PLAIN).to_tss(*window)
    assert np.flatnonzero(balanced == 0).tolist() == [2, 9]
    louder, _ = ContactMap.open(cool, values=ContactValues(factor=50)).to_tss(*window)
    np.testing.assert_allclose(louder, np.log10(50 * balanced + 1), rtol=1e-5)


def test_a_power_law_where_nothing_was_measured(cool):
    genome = {"I": 40_300, "IV": 20_000, "V": 9_000}
    options = ContactValues(transform="none", missing="power_law", scale=5.0)
    contacts = ContactMap.open(cool, genome=genome, values=options)
    law = PowerLaw(scale=5.0)
    centres = np.arange(3_000, 18_000, STEP) + 500
    values, _ = contacts.to_tss("I", 10_499, 3_000, 18_000)
    expected = _balanced("chrI")[10, 3:18]
    missing = np.isnan(expected)
    expected[missing] = law(centres[missing] - 10_499.5)
    assert missing.sum() == 2
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    # The TSS itself lies in a bin left out of the balancing.
    values, _ = contacts.to_tss("I", 12_000, 3_000, 18_000)
    np.testing.assert_allclose(values, law(centres - 12_000.5), rtol=1e-6)
    # The matrix lacks contig V; outside it there is nothing all the same.
    values, _ = contacts.to_tss("V", 100, -2_000, 11_000)
    assert np.flatnonzero(values == 0).tolist() == [0, 1, 11, 12]
    np.testing.assert_allclose(
        values[2:11], law(np.arange(9) * STEP + 500 - 100.5), rtol=1e-6
    )


def test_a_pseudocount_as_of_abc(cool):
    options = ContactValues(transform="none", pseudocount_distance=1_000_000)
    contacts = ContactMap.open(cool, values=options)
    window = ("chrI", 10_500, 3_000, 18_000)
    values, _ = contacts.to_tss(*window)
    plain, _ = ContactMap.open(cool, values=PLAIN).to_tss(*window)
    measured = np.isfinite(_balanced("chrI")[10, 3:18])
    added = np.where(measured, PowerLaw()(1e6), 0)
    np.testing.assert_allclose(values, plain + added, rtol=1e-5)


def test_a_fitted_law_speaks_the_units_of_the_matrix(tmp_path):
    bins = 400
    law = PowerLaw(gamma=0.9, scale=16.0, minimum=1000)
    distance = abs(np.subtract.outer(np.arange(bins), np.arange(bins))) * STEP
    counts = np.triu(np.round(law(distance)).astype(int))
    counts[50], counts[:, 50] = 0, 0
    one, two = np.nonzero(counts)
    starts = np.arange(bins) * STEP
    table = pd.DataFrame({"chrom": "1", "start": starts, "end": starts + STEP})
    pixels = pd.DataFrame({"bin1_id": one, "bin2_id": two, "count": counts[one, two]})
    cooler.create_cooler(str(tmp_path / "a.cool"), table, pixels, ordered=True)
    options = ContactValues(transform="none", missing="fitted")
    contacts = ContactMap.open(
        tmp_path / "a.cool", balance="none", values=options, genome={"1": 400_000}
    )
    assert contacts.power_law.gamma == pytest.approx(0.9, abs=0.02)
    values, _ = contacts.to_tss("1", 50_500, 40_000, 60_000)
    ratio = values / law(np.arange(40_500, 60_000, STEP) - 50_500)
    assert abs(np.log(ratio)).max() < 0.1


def test_another_column_and_dividing_ones(tmp_path):
    for name, expected in (
        ("ice", _balanced("chrI")),
        ("KR", COUNTS["chrI"] / np.outer(WEIGHTS["chrI"], WEIGHTS["chrI"])),
    ):
        path = tmp_path / f"{name}.cool"
        _write_cool(path, weight=name)
        contacts = ContactMap.open(path, balance=name, values=PLAIN)
        values, _ = contacts.to_tss("chrI", 20_000, 14_000, 26_000)
        np.testing.assert_allclose(values, expected[20, 14:26], rtol=1e-6)


def test_resolutions_of_mcool(tmp_path, cool):
    path = tmp_path / "a.mcool"
    _write_cool(f"{path}::/resolutions/1000")
    coarse = {name: -(-size // STEP) * 5000 for name, size in SIZES.items()}
    _write_cool(f"{path}::/resolutions/5000", coarse, step=5000)
    values, _ = ContactMap.open(path, resolution=1000).to_tss("chrI", 9_000, 0, 20_000)
    expected, _ = ContactMap.open(cool).to_tss("chrI", 9_000, 0, 20_000)
    np.testing.assert_array_equal(values, expected)
    with pytest.raises(InputError, match="no resolution 2,000 bp, only 1,000, 5,000"):
        ContactMap.open(path, resolution=2000)
    with pytest.raises(InputError, match="several resolutions; choose one of 1,000, 5"):
        ContactMap.open(path)


@pytest.mark.parametrize("balance", ["VC", "none"])
def test_hic_equals_cool(hic, cool, balance):
    found = ContactMap.open(hic, resolution=STEP, balance=balance, values=PLAIN)
    own = {"VC": "weight"}.get(balance, balance)
    expected = ContactMap.open(cool, balance=own, values=PLAIN)
    assert found.sizes == expected.sizes == SIZES
    for tss in range(0, 40_300, 1700):
        window = ("chrI", tss, tss - 8_000, tss + 8_000)
        (values, offset), (same, offset_same) = map(
            lambda contacts, window=window: contacts.to_tss(*window), (found, expected)
        )
        assert offset == offset_same
        np.testing.assert_allclose(values, same, rtol=1e-5)


def test_hic_contig_without_the_normalisation(hic):
    contacts = ContactMap.open(hic, resolution=STEP, balance="VC")
    with pytest.raises(InputError, match="contig 'chrIV' has no value of 'VC'"):
        contacts.to_tss("chrIV", 5_000, 0, 10_000)
    options = ContactValues(transform="none", missing="power_law")
    contacts = ContactMap.open(hic, resolution=STEP, balance="VC", values=options)
    values, _ = contacts.to_tss("chrIV", 5_000, 0, 10_000)
    np.testing.assert_allclose(values, PowerLaw()(np.zeros(10)), rtol=1e-6)


def test_bad_hic(hic, tmp_path):
    with pytest.raises(InputError, match="no resolution 5,000 bp, only 1,000, 2,000"):
        ContactMap.open(hic, resolution=5000, balance="none")
    with pytest.raises(InputError, match="no normalisation 'KR' at 1,000 bp .it has"):
        ContactMap.open(hic, resolution=STEP, balance="KR")
    (tmp_path / "cut.hic").write_bytes(hic.read_bytes()[:100])
    with pytest.raises(InputError, match="not a whole .hic file"):
        ContactMap.open(tmp_path / "cut.hic", balance="none")


def test_bad_files(cool, tmp_path):
    (tmp_path / "text.cool").write_text("chr1\t0\t5\n")
    (tmp_path / "cut.cool").write_bytes(cool.read_bytes()[:3000])
    import h5py

    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1]
    _write_cool(tmp_path / "raw.cool", weight=None)
    for name, message in (
        ("text.cool", "no .cool, .mcool or .hic file"),
        ("absent.cool", "cannot be read .No such file"),
        ("cut.cool", "not a whole cooler file"),
        ("other.h5", "holds no matrix of equal bins"),
        ("raw.cool", r"no balancing column 'weight' .*cooler balance.*\"none\""),
    ):
        with pytest.raises(InputError, match=message) as caught:
            ContactMap.open(tmp_path / name)
        assert "\n" not in str(caught.value) and name in str(caught.value)
    assert ContactMap.open(tmp_path / "raw.cool", balance="none").resolution == STEP
    with pytest.raises(InputError, match="'wieght' .*; did you mean \"weight\"[?]$"):
        ContactMap.open(cool, balance="wieght")


@pytest.mark.parametrize(
    ("genome", "message"),
    [
        ({"chrI": 41_700, "chrIV": 20_000}, "contig 'chrI' has 40,300 bases, but"),
        ({"chrI": 40_301, "chrIV": 20_000}, "give the matrix of the same assembly"),
        ({"chrI": 40_300, "chrIV": 24_100}, "set length_tolerance = 4100 or more"),
        ({"chr7": 40_300}, "no contig of the genome: it has chrI, chrIV, the genome c"),
    ],
)
def test_another_assembly(cool, genome, message):
    with pytest.raises(InputError, match=message):
        ContactMap.open(cool, genome=genome)


def test_rounded_and_cut_lengths(cool):
    # chrIV: written as whole bins; then without its last ones.
    ContactMap.open(cool, genome={"chrI": 40_300, "chrIV": 19_201})
    contacts = ContactMap.open(
        cool,
        genome={"chrI": 40_300, "chrIV": 24_100},
        length_tolerance=5000,
        values=ContactValues(transform="none", missing="power_law"),
    )
    values, _ = contacts.to_tss("chrIV", 19_000, 18_000, 26_000)
    np.testing.assert_allclose(values[:2], _balanced("chrIV")[19, 18:], rtol=1e-6)
    assert (values[2:7] > 0).all() and values[7] == 0
    # A TSS beyond the matrix was not measured at all.
    assert (contacts.to_tss("chrIV", 23_000, 20_000, 24_000)[0] > 0).all()


def test_bad_questions_and_options(cool):
    contacts = ContactMap.open(cool, genome=SIZES | {"chrV": 5000})
    with pytest.raises(InputError, match="no contig 'chrV'; .*missing = \"power_law\""):
        contacts.to_tss("chrV", 0, 0, 10)
    with pytest.raises(InputError, match="TSS chrIV:20000 .0-based. is outside"):
        contacts.to_tss("chrIV", 20_000, 0, 10)
    for options, message in (
        ({"missing": "mean"}, "missing is 'mean'; choose one of zero"),
        ({"transform": "log2"}, "transform is 'log2'"),
        ({"gamma": 0.0}, "gamma is 0"),
        ({"pseudocount_distance": -1}, "pseudocount_distance is -1"),
        ({"factor": 0.0}, "factor is 0.0; it must be positive"),
    ):
        with pytest.raises(ConfigError, match=message):
            ContactValues(**options)


@pytest.mark.parametrize(("package", "kind"), [("cooler", "cool"), ("hictkpy", "hic")])
def test_the_extra_is_not_installed(package, kind, monkeypatch, request):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf'{package}: pip install "seqexp-tf\[hic\]"'):
        ContactMap.open(request.getfixturevalue(kind), resolution=STEP)


def test_it_pickles_and_closes(cool, hic):
    window = ("IV", 7_000, 0, 15_000)
    for path, balance in ((cool, "weight"), (hic, "none")):
        with ContactMap.open(path, resolution=STEP, balance=balance) as contacts:
            copy = pickle.loads(pickle.dumps(contacts))
            expected = contacts.to_tss(*window)[0]
        np.testing.assert_array_equal(copy.to_tss(*window)[0], expected)
        np.testing.assert_array_equal(contacts.to_tss(*window)[0], expected)


def test_simulated_contacts(tmp_path):
    simulation = simulate(SimulationConfig(contigs=2, contig_length=40_000))
    path = tmp_path / "contacts.cool"
    write_cool(path, simulation)
    contacts = ContactMap.open(path, genome=simulation.sizes, values=PLAIN)
    for gene in simulation.genes.itertuples():
        weights = simulation.weights[gene.contig]
        row = simulation.contacts[gene.contig][gene.tss // 2000].astype(float)
        row *= weights * weights[gene.tss // 2000]
        values, offset = contacts.to_tss(
            gene.contig, gene.tss, 0, simulation.sizes[gene.contig]
        )
        assert offset == 0
        np.testing.assert_allclose(values, np.nan_to_num(row), rtol=1e-6)


def test_real_yeast(yeast):
    genome = sequence_regions(yeast / "genome/ensembl_annotation.gff3.gz")
    path = yeast / "hic/scer_g1_2kb_SRR8769554.cool"
    with pytest.raises(InputError, match="'chr12' has 1,072,000 bases, but 'chrXII'"):
        ContactMap.open(path, genome=genome)
    contacts = ContactMap.open(path, genome=genome, length_tolerance=7000, values=PLAIN)
    assert len(contacts.sizes) == 17
    expected = cooler.Cooler(str(path)).matrix(balance=True)
    row = expected.fetch("chr4:1,468,000-1,470,000", "chr4:1,440,000-1,500,000")[0]
    values, offset = contacts.to_tss("chrIV", 1_469_399, 1_440_000, 1_500_000)
    assert offset == 0
    np.testing.assert_allclose(values, np.nan_to_num(row), rtol=1e-6)


@pytest.mark.parametrize(
    ("balance", "column"), [("weight", "balanced"), ("none", "raw")]
)
def test_real_k562_against_the_bins_around_each_tss(k562, balance, column):
    table = pd.read_csv(k562 / "hic/tss_contacts_200kb.tsv.gz", sep="\t")
    genes = pd.read_csv(k562 / "genes/genes_18377.tsv.gz", sep="\t")
    genes = genes.set_index("gene_id").loc[table.gene_id.unique()].sort_values("TSS")
    contacts = ContactMap.open(
        k562 / "hic/K562_HiC_chr22_5kb.hg38.cool",
        balance=balance,
        genome={"chr22": 50_818_468},
        values=PLAIN,
    )
    started = time.process_time()
    found = {
        gene: contacts.to_tss("chr22", tss, tss - 100_000, tss + 100_000)
        for gene, tss in genes.TSS.items()
    }
    assert len(found) / (time.process_time() - started) > 200
    for gene, rows in table.groupby("gene_id"):
        values, offset = found[gene]
        assert values.size == len(rows) == 41
        assert offset == (genes.TSS[gene] - 100_000) - rows.start.iloc[0]
        np.testing.assert_allclose(values, rows[column].fillna(0), rtol=1e-5)
