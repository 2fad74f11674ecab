"""Recipes of kind expression that are refused, and what they say."""

import dataclasses

import pytest

from seqexp_tf.errors import ConfigError, InputError
from seqexp_tf.records.prepared import input_files
from seqexp_tf.records.recipe import read_recipe


@pytest.fixture
def refused(tiny_genes):
    def message(**changes) -> str:
        with pytest.raises(ConfigError) as error:
            tiny_genes.recipe(**changes)
        return str(error.value)

    return message


@pytest.mark.parametrize("size", [0, -2, 201])
def test_windows_that_have_no_centre(refused, size):
    message = refused(windows={"size": size})
    assert f"windows.size is {size}; it must be a positive even number" in message


@pytest.mark.parametrize(
    "signal, message",
    [
        ({"transform": ["log1p", "log1p"]}, "transform is ['log1p', 'log1p']; give"),
        ({"transform": ["zscore", "log1p"]}, "zscore must be last"),
        ({"transform": ["clip"]}, 'clip, the largest value, goes with the step "clip"'),
        ({"clip": 3.0}, 'clip, the largest value, goes with the step "clip"'),
        ({"transform": ["clip"], "clip": 0.0}, "clip is 0.0; it must be a positive"),
        ({"transform": ["log2"]}, "transform[0] is 'log2'; choose one of 'clip'"),
        (
            {"transform": ["log1p"], "allow_negative": True},
            "allow_negative does not go with the step log1p",
        ),
        ({"patth": "x"}, 'unknown key "signals.dnase.patth"; did you mean "path"?'),
    ],
)
def test_signals(refused, signal, message):
    assert message in refused(signals={"dnase": {"path": "dnase.bw", **signal}})


def test_names_of_signals(refused):
    assert "'a/b' must be letters" in refused(signals={"a/b": {"path": "x.bw"}})
    message = refused(signals={"contact": {"path": "x.bw"}})
    assert "the name 'contact' is that of the Hi-C contact" in message
    assert 'naming = "signals" needs a signal' in refused(signals={})


@pytest.mark.parametrize(
    "target, message",
    [
        ({}, "give either column, or coverage_plus and coverage_minus"),
        ({"column": "x", "coverage_plus": "a", "coverage_minus": "b"}, "give either"),
        ({"coverage_plus": "a.bw"}, "coverage_plus and coverage_minus go together"),
        ({"coverage_plus": "a", "coverage_minus": "a"}, "are both 'a'"),
        ({"column": "x", "width": 0}, "target.width is 0; it must be positive"),
        ({"column": "x", "transform": "log2"}, "choose one of 'none', 'log10p1'"),
    ],
)
def test_targets(refused, target, message):
    assert message in refused(target=target)


@pytest.mark.parametrize(
    "features, message",
    [
        ({"columns": ["gc", "gc"]}, "features: 'gc' comes twice"),
        ({"columns": ["gc"], "log1p": ["cg"]}, "'cg' is no feature"),
        (
            {"activity": {"accessibility": "dnas", "acetylation": "k27ac"}},
            "features.activity.accessibility: 'dnas' is no signal; did you mean "
            '"dnase"?',
        ),
        (
            {"half_life": {"annotation": "x.gff3", "features": ["CDSLEN"]}},
            "'CDSLEN' is no half-life feature",
        ),
        (
            {
                "activity": {
                    "accessibility": "dnase",
                    "acetylation": "k27ac",
                    "width": 0,
                }
            },
            "features.activity.width is 0",
        ),
    ],
)
def test_features(refused, features, message):
    assert message in refused(features=features)


@pytest.mark.parametrize(
    "contact, message",
    [
        ({"resolution": -1}, "contact.resolution is -1; it must be 0 or more"),
        ({"length_tolerance": -1}, "contact.length_tolerance is -1"),
        ({"missing": "power"}, "choose one of 'zero', 'power_law', 'fitted'"),
        ({"missing": "power_law", "gamma": 0.0}, "gamma is 0.0"),
        ({"pseudocount_distance": -5}, "pseudocount_distance is -5"),
    ],
)
def test_contacts(refused, contact, message):
    assert message in refused(contact={"path": "contacts.cool", **contact})


def test_sources(refused, tiny_genes):
    message = refused(source=tiny_genes.source(tss_base=2))
    assert "source.tss_base is 2; choose one of 0, 1" in message
    message = refused(source=tiny_genes.source(genes="genes.gtf.gz"))
    assert "columns is for a table, but genes is the annotation" in message
    message = refused(download={"genome": {"url": "ftp://x/y"}})
    assert "download.genome" in message and "is not an address" in message


def test_the_kind_of_a_recipe(tmp_path):
    path = tmp_path / "recipe.toml"
    for text, message in (
        ("", '"kind" is missing; valid: joint, expression'),
        ("kind = 3", "kind is 3; choose one of 'joint', 'expression'"),
        ("kind = 'genes'", "kind is 'genes'; choose one of 'joint', 'expression'"),
        ("kind = 'expression'", '"name" is missing'),
        ("kind = 'joint'\nname = 'x'\ntarget = 'y'", 'unknown key "target"'),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError) as error:
            read_recipe(path)
        assert str(error.value).startswith(f"{path}: {message}")


def test_every_input_is_listed(tiny_genes):
    recipe = tiny_genes.recipe(
        features={"half_life": {"annotation": "genes.gff3"}},
        target={"coverage_plus": "plus.bw", "coverage_minus": "minus.bw"},
    )
    assert set(input_files(recipe)) == {
        *("source.fasta", "source.genes", "contact.path", "features.half_life"),
        *("signals.dnase", "signals.k27ac", "channels.peaks"),
        *("target.coverage_plus", "target.coverage_minus"),
    }
    absent = dataclasses.replace(recipe, channels={"peaks": "peak.bed"})
    with pytest.raises(InputError, match="did you mean peaks.bed"):
        input_files(absent)
