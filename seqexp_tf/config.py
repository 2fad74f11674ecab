"""Strict configuration: frozen dataclasses read from TOML.

A recipe (``seqexp-tf convert``) or run configuration (``seqexp-tf fit``) is a
TOML file whose tables mirror a dataclass. An unknown key, a missing key or a
value of the wrong type is an error that names the key, the file and, for a
typo, the nearest valid key. ``--set table.key=value`` overrides one value.
"""

import dataclasses
import difflib
import os
import re
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from seqexp_tf.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


def read_toml(path: str | os.PathLike) -> dict[str, Any]:
    """Returns the tables of a TOML file; a syntax error names file and line."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def apply_overrides(
    values: Mapping[str, Any], overrides: Sequence[str]
) -> dict[str, Any]:
    """Returns ``values`` with each ``a.b=value`` of ``overrides`` set.

    The value is read as TOML (``3``, ``true``, ``[1, 2]``, ``"x"``); what is not
    TOML is taken as a string, so ``source.root=../data`` needs no quotes.
    """
    result = _deep_copy(values)
    for override in overrides:
        key, equals, text = override.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise ConfigError(
                f"--set {override}: write it as table.key=value, "
                "for example training.epochs=20"
            )
        table = result
        for part in parts[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise ConfigError(f"--set {override}: {part} is a value, not a table")
        table[parts[-1]] = _parse_value(text.strip())
    return result


def build(cls: type[T], values: Mapping[str, Any], *, origin: str) -> T:
    """Returns the dataclass ``cls`` filled from nested tables, checked strictly.

    Args:
        cls: a dataclass; a field that is itself a dataclass reads a table.
        values: nested mapping, as TOML gives it.
        origin: file (or preset) named in errors.

    Raises:
        ConfigError: unknown or missing key, or a value of the wrong type. A
            ``ConfigError`` raised by a ``__post_init__`` check gains the origin.
    """
    return _build(cls, values, origin, "")


def dump(config: Any) -> str:
    """Returns the TOML text of a configuration dataclass (None is left out)."""
    return tomli_w.dumps(to_dict(config))


def to_dict(config: Any) -> dict[str, Any]:
    """Returns nested plain tables of a configuration dataclass, without Nones."""
    return _plain(dataclasses.asdict(config))


def nearest(name: str, choices: Sequence[str]) -> str:
    """Returns a hint such as ``; did you mean "epochs"?``, or the valid names."""
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; valid: {', '.join(choices)}"


def require(condition: bool, message: str) -> None:
    """Raises ``ConfigError(message)`` unless ``condition`` holds."""
    if not condition:
        raise ConfigError(message)


def _build(cls: type[T], values: Any, origin: str, prefix: str) -> T:
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"{origin}: {prefix.rstrip('.')} must be a table, not {values!r}"
        )
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in values:
        if key not in fields:
            hint = nearest(key, list(fields))
            raise ConfigError(f'{origin}: unknown key "{prefix}{key}"{hint}')
    arguments = {}
    for name, field in fields.items():
        if name in values:
            arguments[name] = _convert(
                hints[name], values[name], origin, f"{prefix}{name}"
            )
        elif (
            field.default is dataclasses.MISSING
            and field.default_factory is dataclasses.MISSING
        ):
            raise ConfigError(f'{origin}: "{prefix}{name}" is missing')
    try:
        return cls(**arguments)
    except ConfigError as error:
        # A message that begins with a field's name is about that field.
        about = prefix
        if prefix and re.split(r"\W", str(error), maxsplit=1)[0] not in fields:
            about = f"{prefix.rstrip('.')}: "
        raise ConfigError(f"{origin}: {about}{error}") from None


def _convert(hint: Any, value: Any, origin: str, name: str) -> Any:
    kind = typing.get_origin(hint)
    if kind in (typing.Union, types.UnionType):
        return _convert_union(hint, value, origin, name)
    if kind is typing.Literal:
        choices = typing.get_args(hint)
        if value in choices and type(value) in {type(choice) for choice in choices}:
            return value
        listed = ", ".join(repr(choice) for choice in choices)
        raise ConfigError(f"{origin}: {name} is {value!r}; choose one of {listed}")
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, origin, f"{name}.")
    if kind is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{origin}: {name} must be a list, not {value!r}")
        item = typing.get_args(hint)[0]
        return tuple(
            _convert(item, entry, origin, f"{name}[{index}]")
            for index, entry in enumerate(value)
        )
    if kind is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{origin}: {name} must be a table, not {value!r}")
        item = typing.get_args(hint)[1]
        return {
            key: _convert(item, entry, origin, f"{name}.{key}")
            for key, entry in value.items()
        }
    if hint is Any:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is hint:
        return value
    raise ConfigError(
        f"{origin}: {name} must be {_NAMES.get(hint, hint)}, not {value!r}"
    )


def _convert_union(hint: Any, value: Any, origin: str, name: str) -> Any:
    options = [option for option in typing.get_args(hint) if option is not type(None)]
    error = None
    for option in options:
        try:
            return _convert(option, value, origin, name)
        except ConfigError as failure:
            error = error or failure
    if error is not None and len(options) == 1:
        raise error
    listed = " or ".join(_NAMES.get(option, str(option)) for option in options)
    raise ConfigError(f"{origin}: {name} must be {listed}, not {value!r}")


_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def _deep_copy(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {key: _deep_copy(value) for key, value in values.items()}
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    return value
