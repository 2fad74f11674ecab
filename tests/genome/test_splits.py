"""Splits by contig, by fold and from a file."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp_tf.errors import ConfigError, InputError
from seqexp_tf.genome.contigs import ContigNames
from seqexp_tf.genome.splits import WHOLE, folds, split_by_contig, split_from_file

SIZES = {"I": 230, "II": 813, "III": 317, "IV": 1532, "V": 577, "VI": 270, "VII": 1091}
TOTAL = sum(SIZES.values())


def windows(*rows):
    return pd.DataFrame(rows, columns=["contig", "start", "end"])


def test_named_contigs_and_the_rest():
    splits = split_by_contig(
        SIZES, validation=["chr5"], test=["chrIV"], resolve=ContigNames(SIZES).resolve
    )
    assert splits.contigs("validation") == ["V"]
    assert splits.contigs("test") == ["IV"]
    assert splits.contigs("train") == ["I", "II", "III", "VI", "VII"]
    assert list(splits.assignment) == list(SIZES)


def test_named_train_leaves_contigs_out():
    splits = split_by_contig(SIZES, train=["I"], validation=["II"], test=["III"])
    assert splits.assignment == {"I": "train", "II": "validation", "III": "test"}
    names, dropped = splits.assign(windows(("IV", 0, 5), ("I", 0, 5)))
    assert names.tolist() == [None, "train"]
    assert dropped == {"in no split": 1}


def test_no_validation_wanted():
    splits = split_by_contig(SIZES, test=["I"], validation_fraction=None)
    assert splits.contigs("validation") == []
    assert len(splits.contigs("train")) == 6


def test_chosen_contigs_come_nearest_the_fraction():
    splits = split_by_contig(SIZES, test=["VII"], validation_fraction=0.17)
    candidates = [name for name in SIZES if name not in ("VII", "IV")]
    best = min(
        abs(sum(SIZES[name] for name in group) - 0.17 * TOTAL)
        for count in range(1, 5)
        for group in combinations(candidates, count)
    )
    chosen = sum(SIZES[name] for name in splits.contigs("validation"))
    assert abs(chosen - 0.17 * TOTAL) == best


@given(
    sizes=st.dictionaries(
        st.text("abcdef", min_size=1, max_size=4),
        st.integers(1, 10_000),
        min_size=3,
        max_size=9,
    ),
    fraction=st.floats(0.05, 0.4),
)
def test_every_split_gets_something_and_the_largest_is_trained_on(sizes, fraction):
    splits = split_by_contig(
        sizes, validation_fraction=fraction, test_fraction=fraction
    )
    assert set(splits.assignment) == set(sizes)
    assert set(splits.assignment.values()) == {"train", "validation", "test"}
    trained = {sizes[name] for name in splits.contigs("train")}
    assert max(sizes.values()) in trained
    turned = dict(reversed(sizes.items()))
    if len(set(sizes.values())) == len(sizes):
        again = split_by_contig(
            turned, validation_fraction=fraction, test_fraction=fraction
        )
        assert again.assignment == splits.assignment


def test_thousands_of_scaffolds():
    sizes = {f"s{number}": 100 + number % 977 for number in range(5000)}
    splits = split_by_contig(sizes)
    for split in ("validation", "test"):
        share = sum(sizes[name] for name in splits.contigs(split)) / sum(sizes.values())
        assert share == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test": ["VIII"]}, "split 'test': no contig 'VIII'; nearest: VII"),
        ({"test": ["I"], "validation": ["I"]}, "'I' is in split 'validation' and"),
        ({"test": ["I", "I"]}, "'I' is in split 'test' and again in 'test'"),
        ({"test": []}, "split 'test' gets no contig"),
        ({"train": []}, "split 'train' gets no contig"),
        ({"test": list(SIZES)}, "split '(train|validation)' gets no contig"),
        ({"test_fraction": 0}, "test_fraction = 0: expected between 0 and 1"),
        ({"validation_fraction": 1.5}, "validation_fraction = 1.5"),
        (
            {"test_fraction": 0.7, "validation_fraction": 0.3},
            "test_fraction = 0.7, validation_fraction = 0.3: together they must be",
        ),
    ],
)
def test_bad_contig_splits(options, message):
    with pytest.raises(ConfigError, match=message):
        split_by_contig(SIZES, **options)


def test_too_few_contigs():
    with pytest.raises(ConfigError, match="gets no contig of 2"):
        split_by_contig({"a": 9, "b": 8})


def test_each_contig_is_tested_once():
    tested, validated = [], []
    for fold in range(3):
        splits = folds(SIZES, k=3, fold=fold)
        assert set(splits.assignment) == set(SIZES)
        tested += splits.contigs("test")
        validated.append(set(splits.contigs("validation")))
        following = folds(SIZES, k=3, fold=(fold + 1) % 3)
        assert validated[-1] == set(following.contigs("test"))
    assert sorted(tested) == sorted(SIZES)
    # Longest first: IV | VII | II; V to II (1390), III to VII (1408), VI to II (1660),
    # I to VII (1638).
    assert folds(SIZES, k=3, fold=0).contigs("test") == ["IV"]
    assert folds(SIZES, k=3, fold=1).contigs("test") == ["I", "III", "VII"]
    assert folds(SIZES, k=3, fold=2).contigs("test") == ["II", "V", "VI"]


@pytest.mark.parametrize(
    ("k", "fold", "message"),
    [
        (2, 0, "folds is 2; it must be 3 or more"),
        (3, 3, "fold is 3; it must be from 0 to 2"),
        (3, -1, "fold is -1"),
        (8, 0, "folds is 8; there are only 7 contigs"),
    ],
)
def test_bad_folds(k, fold, message):
    with pytest.raises(ConfigError, match=message):
        folds(SIZES, k=k, fold=fold)


def from_text(tmp_path, text, **options):
    path = tmp_path / "splits.tsv"
    path.write_text(text)
    return split_from_file(path, **options)


def test_file_of_intervals_and_contigs(tmp_path):
    splits = from_text(
        tmp_path,
        "contig\tstart\tend\tsplit\n# comment\n"
        "I\t50\t100\ttest\nI\t0\t20\ttrain\nI\t20\t50\ttrain\nchrII\tvalidation\n",
        resolve=ContigNames(SIZES).resolve,
    )
    assert splits.intervals["I"] == ((0, 50, "train"), (50, 100, "test"))
    assert splits.assignment == {"II": "validation"}
    assert splits.contigs("test") == ["I"]
    names, dropped = splits.assign(
        windows(
            ("I", 10, 30),  # over the seam of two intervals of one split
            ("I", 40, 60),
            ("I", 50, 100),
            ("I", 90, 110),
            ("I", 100, 120),
            ("II", 0, 10_000),
            ("III", 0, 10),
        )
    )
    expected = ["train", None, "test", None, None, "validation", None]
    assert names.tolist() == expected
    assert dropped == {"crosses a split border": 2, "in no split": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no split in it"),
        ("I\ttrain\nI\t0\t5\ttest\n", "I:0 .0-based. is in '(test|train)' and in"),
        (
            "I\t0\t9\ttrain\nI\t8\t12\ttest\n",
            "I:8 .0-based. is in 'train' and in 'test'",
        ),
        ("I\t0\t9\tvalid\n", "line 1: split 'valid': expected train, validation, test"),
        ("I\t9\t9\ttest\n", "line 1: start 9, end 9: expected start < end"),
        ("I\t-9\t9\ttest\n", "line 1: start '-9' and end '9' must be whole"),
        ("I\t9\ttest\n", "line 1: 3 columns"),
        ("XX\ttest\n", "line 1: no contig 'XX' in the genome"),
    ],
)
def test_bad_files(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        from_text(tmp_path, text, resolve=ContigNames(SIZES).resolve)
    assert "splits.tsv" in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        split_from_file(tmp_path / "absent.tsv")


parts = st.lists(
    st.tuples(st.integers(1, 9), st.sampled_from(["train", "test", None])), max_size=8
)


@settings(max_examples=60)
@given(
    parts=parts,
    rows=st.lists(st.tuples(st.integers(0, 50), st.integers(1, 12)), max_size=20),
)
def test_assignment_equals_looking_at_every_base(tmp_path_factory, parts, rows):
    bases = np.full(100, None, dtype=object)
    lines, position = ["other\ttest"], 0
    for length, split in parts:
        if split is not None:
            bases[position : position + length] = split
            lines.append(f"c\t{position}\t{position + length}\t{split}")
        position += length
    splits = from_text(tmp_path_factory.mktemp("s"), "\n".join(lines))
    found, dropped = splits.assign(
        windows(*(("c", start, start + length) for start, length in rows))
    )
    outside = 0
    for name, (start, length) in zip(found, rows, strict=True):
        seen = set(bases[start : start + length])
        assert name == (seen.pop() if len(seen) == 1 else None)
        outside += (bases[start : start + length] == None).all()  # noqa: E711
    assert dropped.get("in no split", 0) == outside
    assert sum(dropped.values()) == sum(name is None for name in found)


def test_whole_contig_is_marked():
    splits = folds({"a": 1, "b": 2, "c": 3}, k=3, fold=0)
    assert splits.intervals["c"] == ((0, WHOLE, "test"),)
