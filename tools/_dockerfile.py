"""What the instructions of a Dockerfile say, stage by stage."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
from dockerfile_parse import DockerfileParser

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Stage:
    """One ``FROM`` and what follows it.

    Attributes:
        name: of ``AS``.
        base: an earlier stage, or an image.
        steps: pairs of an instruction and its value.
    """

    name: str
    base: str
    steps: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Image:
    """What a container of a stage starts with."""

    env: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    folder: str = "/"
    user: str = "0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)


def read_stages(path: Path) -> dict[str, Stage]:
    """Returns the stages of a Dockerfile by name, in its order."""
    with path.open("rb") as file:
        structure = DockerfileParser(fileobj=file).structure
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    for line in structure:
        word, value = line["instruction"], line["value"]
        if word == "COMMENT":
            continue
        if word == "ARG":
            name, _, default = value.partition("=")
            arguments[name] = default
        elif word == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", value).groups()
            stages[name] = Stage(name, expand(base, arguments), ())
        else:
            last = stages[next(reversed(stages))]
            stages[last.name] = replace(last, steps=(*last.steps, (word, value)))
    return stages


def expand(text: str, variables: dict[str, str]) -> str:
    """Puts values in the place of ``$NAME`` and ``${NAME}``."""
    return re.sub(r"\$\{?(\w+)\}?", lambda found: variables.get(found[1], ""), text)


def split_flags(value: str) -> tuple[dict[str, list[str]], str]:
    """Splits ``--from=a --mount=b rest``."""
    flags: dict[str, list[str]] = {}
    while found := re.match(r"--([\w-]+)=(\S+)\s+", value):
        flags.setdefault(found[1], []).append(found[2])
        value = value[found.end() :]
    return flags, value


def needed(stages: dict[str, Stage], target: str) -> list[str]:
    """Returns the stages that a target is built from, each after what it needs."""
    found: list[str] = []
    for source in _sources(stages[target]):
        if source in stages:
            found += [name for name in needed(stages, source) if name not in found]
    return [*found, target]


def _sources(stage: Stage) -> Iterator[str]:
    yield stage.base
    for word, value in stage.steps:
        flags, _ = split_flags(value)
        if word == "COPY":
            yield from flags.get("from", ())
        for mount in flags.get("mount", ()):
            yield from re.findall(r"\bfrom=([\w-]+)", mount)


def settle(image: Image, word: str, value: str) -> Image:
    """Returns an image after an instruction that changes no file."""
    if word == "ENV":
        pairs = (part.partition("=") for part in shlex.split(value))
        changes = {name: expand(text, image.env) for name, _, text in pairs}
        return replace(image, env={**image.env, **changes})
    if word == "WORKDIR":
        return replace(image, folder=value)
    if word == "USER":
        return replace(image, user=value)
    if word == "ENTRYPOINT":
        return replace(image, entrypoint=json.loads(value))
    if word == "CMD":
        return replace(image, command=json.loads(value))
    if word == "HEALTHCHECK":
        return replace(image, health=json.loads(value.partition("CMD ")[2]))
    raise click.ClickException(f"Dockerfile: this tool knows no {word} {value}")
