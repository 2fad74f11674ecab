"""Strict configuration: what is refused, and how overrides are read."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from seqexp_tf.config import (
    apply_overrides,
    build,
    dump,
    read_toml,
    require,
    to_dict,
)
from seqexp_tf.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    size: int = 8
    share: float = 0.5

    def __post_init__(self) -> None:
        require(self.size > 0, f"size is {self.size}; it must be positive")
        require(self.share < 1 or self.size > 1, "give a share below 1")


@dataclass(frozen=True)
class Outer:
    kind: Literal["a", "b"]
    inner: Inner = Inner()
    maybe: Inner | None = None
    text: str | None = None
    either: int | str = 0
    names: tuple[str, ...] = ()
    strands: tuple[Literal["+", "-"], ...] = ("+",)
    paths: dict[str, str] = field(default_factory=dict)
    free: dict[str, Any] = field(default_factory=dict)
    flag: bool = False


def _build(**values):
    return build(Outer, {"kind": "a", **values}, origin="run.toml")


def test_every_kind_of_field_is_read():
    config = _build(
        inner={"size": 3, "share": 1},
        maybe={"size": 4},
        text="x",
        either="y",
        names=["p", "q"],
        strands=["-", "+"],
        paths={"peaks": "a.bed"},
        free={"depth": 2},
        flag=True,
    )
    assert config == Outer(
        "a",
        Inner(3, 1.0),
        Inner(4),
        "x",
        "y",
        ("p", "q"),
        ("-", "+"),
        {"peaks": "a.bed"},
        {"depth": 2},
        True,
    )
    assert type(config.inner.share) is float


@pytest.mark.parametrize(
    "values, message",
    [
        ({"kindd": "a"}, 'run.toml: unknown key "kindd"; did you mean "kind"?'),
        (
            {"kind": "a", "inner": {"sise": 1}},
            'run.toml: unknown key "inner.sise"; did you mean "size"?',
        ),
        (
            {"kind": "a", "inner": {"zzz": 1}},
            'run.toml: unknown key "inner.zzz"; valid: size, share',
        ),
        ({}, 'run.toml: "kind" is missing'),
        ({"kind": "c"}, "run.toml: kind is 'c'; choose one of 'a', 'b'"),
        ({"kind": 1}, "run.toml: kind is 1; choose one of 'a', 'b'"),
        (
            {"kind": "a", "inner": {"size": "8"}},
            "run.toml: inner.size must be a whole number, not '8'",
        ),
        (
            {"kind": "a", "inner": {"size": True}},
            "run.toml: inner.size must be a whole number, not True",
        ),
        (
            {"kind": "a", "inner": {"size": 2.0}},
            "run.toml: inner.size must be a whole number, not 2.0",
        ),
        (
            {"kind": "a", "inner": {"share": "x"}},
            "run.toml: inner.share must be a number, not 'x'",
        ),
        (
            {"kind": "a", "inner": {"share": False}},
            "run.toml: inner.share must be a number, not False",
        ),
        ({"kind": "a", "inner": 3}, "run.toml: inner must be a table, not 3"),
        (
            {"kind": "a", "maybe": {"size": "x"}},
            "run.toml: maybe.size must be a whole number, not 'x'",
        ),
        ({"kind": "a", "text": 1}, "run.toml: text must be text, not 1"),
        (
            {"kind": "a", "either": 1.5},
            "run.toml: either must be a whole number or text, not 1.5",
        ),
        ({"kind": "a", "names": "p"}, "run.toml: names must be a list, not 'p'"),
        ({"kind": "a", "names": ["p", 1]}, "run.toml: names[1] must be text, not 1"),
        (
            {"kind": "a", "strands": ["*"]},
            "run.toml: strands[0] is '*'; choose one of '+', '-'",
        ),
        ({"kind": "a", "paths": ["x"]}, "run.toml: paths must be a table, not ['x']"),
        ({"kind": "a", "paths": {"p": 1}}, "run.toml: paths.p must be text, not 1"),
        ({"kind": "a", "flag": 1}, "run.toml: flag must be true or false, not 1"),
        (
            {"kind": "a", "inner": {"size": -1}},
            "run.toml: inner.size is -1; it must be positive",
        ),
        (
            {"kind": "a", "inner": {"size": 1, "share": 2}},
            "run.toml: inner: give a share below 1",
        ),
    ],
)
def test_what_is_wrong_is_named(values, message):
    with pytest.raises(ConfigError) as caught:
        build(Outer, values, origin="run.toml")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "override, expected",
    [
        ("inner.size=3", {"inner": {"size": 3, "share": 0.25}}),
        ("inner.share=1e-3", {"inner": {"share": 1e-3}}),
        ("text=../data/yeast", {"text": "../data/yeast"}),
        ("text='3'", {"text": "3"}),
        ("text=", {"text": ""}),
        ("text=a=b", {"text": "a=b"}),
        ("names=['p', 'q']", {"names": ["p", "q"]}),
        ("paths.peaks=a.bed", {"paths": {"peaks": "a.bed"}}),
        ("flag=true", {"flag": True}),
        (" inner.size = 3 ", {"inner": {"size": 3, "share": 0.25}}),
    ],
)
def test_overrides(override, expected):
    values = {"inner": {"share": 0.25}}
    assert apply_overrides(values, [override]) == {**values, **expected}
    assert values == {"inner": {"share": 0.25}}


def test_later_overrides_win():
    assert apply_overrides({}, ["a.b=1", "a.b=2"]) == {"a": {"b": 2}}


@pytest.mark.parametrize("override", ["inner.size", "=3", "inner.=3", ".size=3"])
def test_malformed_overrides(override):
    with pytest.raises(ConfigError, match=r"write it as table\.key=value"):
        apply_overrides({}, [override])


def test_override_into_a_value():
    with pytest.raises(ConfigError, match="kind is a value, not a table"):
        apply_overrides({"kind": "a"}, ["kind.size=3"])


def test_dump_reads_back(tmp_path):
    config = _build(maybe={"size": 4}, names=["p"], paths={"a": "b"}, free={"x": [1]})
    path = tmp_path / "config.toml"
    path.write_text(dump(config))
    assert build(Outer, read_toml(path), origin=str(path)) == config
    assert "text" not in to_dict(config)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"a = \n", "not valid TOML: .*line 1"),
        (b"a = 1\na = 2\n", "not valid TOML"),
        (b"a = '\xff'\n", "not valid TOML"),
    ],
)
def test_broken_toml(tmp_path, content, message):
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_toml(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_toml_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_toml(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot read: Is a directory"):
        read_toml(tmp_path)
