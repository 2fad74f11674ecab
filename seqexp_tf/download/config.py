"""The ``[download.NAME]`` tables of a recipe: where its input files come from."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from seqexp_tf.config import apply_overrides, build, read_toml, require
from seqexp_tf.errors import ConfigError
from seqexp_tf.records.recipe_tables import require_names

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class DownloadFile:
    """One file to download.

    Attributes:
        url: http or https address of the file.
        mirrors: other addresses of the same bytes, tried in order after ``url``.
        sha256: of the file, in lower case; None takes what the first download gave.
        path: where the file goes, from the folder of the recipe's inputs, with
            ``/``; the last part of ``url`` if not given.
    """

    url: str
    mirrors: tuple[str, ...] = ()
    sha256: str | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        for key, address in [
            ("url", self.url),
            *(("mirrors", m) for m in self.mirrors),
        ]:
            require_address(key, address)
        require(
            self.sha256 is None or _SHA256.fullmatch(self.sha256) is not None,
            f"sha256 is {self.sha256!r}; it must be 64 hexadecimal digits, lower case",
        )
        place = PurePosixPath(self.place)
        require(
            bool(place.name) and not place.is_absolute() and ".." not in place.parts,
            f"path is {self.place!r}; it must name a file inside the folder"
            if self.path is not None
            else f"path is missing, and url {self.url!r} does not end in a file name",
        )

    @property
    def place(self) -> str:
        """Path from the folder of the inputs."""
        if self.path is not None:
            return str(PurePosixPath(self.path)) if self.path else ""
        return unquote(urlsplit(self.url).path.rpartition("/")[2])


@dataclass(frozen=True)
class Downloads:
    """What a recipe asks for.

    Attributes:
        files: by the name of their table.
        root: the recipe's ``source.root``.
    """

    files: dict[str, DownloadFile]
    root: Path


def read_downloads(path: str | os.PathLike, overrides: Sequence[str] = ()) -> Downloads:
    """Reads the ``[download.NAME]`` tables of a recipe of any kind.

    The rest of the recipe is not looked at, except for ``source.root``.

    Raises:
        ConfigError: there is no such table, or a wrong value in one; it names the
            file and the key.
    """
    tables = apply_overrides(read_toml(path), overrides)
    files = _build(tables, str(path))
    if not files:
        raise ConfigError(
            f"{path}: it has no [download.NAME] table, so there is nothing to "
            "download; put the files it names into source.root yourself"
        )
    source = tables.get("source", {})
    root = source.get("root", ".") if isinstance(source, Mapping) else None
    if not isinstance(root, str):
        raise ConfigError(f"{path}: source.root must be text, not {root!r}")
    return Downloads(files, Path(root).expanduser())


def _build(tables: Mapping[str, Any], origin: str) -> dict[str, DownloadFile]:
    values = {"download": tables.get("download", {})}
    files = build(_Table, values, origin=origin).download
    owner: dict[str, str] = {}
    for name, file in files.items():
        first = owner.setdefault(file.place, name)
        if first != name:
            raise ConfigError(
                f"{origin}: download.{first} and download.{name} both go to "
                f"{file.place!r}; give one of them another path"
            )
    return files


@dataclass(frozen=True)
class _Table:
    download: dict[str, DownloadFile]

    def __post_init__(self) -> None:
        require_names("download", self.download)


def require_address(key: str, address: str) -> None:
    """Raises ``ConfigError`` unless ``address`` is one of http or https."""
    parts = urlsplit(address)
    require(
        parts.scheme in ("http", "https") and bool(parts.netloc),
        f"{key}: {address!r} is not an address; it must begin with https:// or http://",
    )
