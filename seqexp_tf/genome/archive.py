"""The npz and parquet archive: whole-genome arrays and a table of windows.

``data.npz`` holds ``sequence`` (A C G T N = 0 to 4, forward strand),
``expressed_plus`` and ``expressed_minus`` (0 or 1 a base) and optionally ``valid``
(0 where nothing was measured): arrays of one length, contigs one after another.
``regions.parquet`` has a row a window: ``offset`` into the arrays, ``contig``,
``window_size`` and ``strand``. ``data_meta.json`` says where each contig begins.
"""

import json
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from seqexp_tf.errors import InputError
from seqexp_tf.genome.alphabet import UNKNOWN
from seqexp_tf.genome.contigs import ContigNames, nearest
from seqexp_tf.genome.files import atomic_path

_LABELS = ("expressed_plus", "expressed_minus")
_COLUMNS = ("offset", "contig", "window_size", "strand")

_Layout = dict[str, tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Archive:
    """The arrays and windows of an archive, checked.

    Attributes:
        sequence: uint8 (bases,), indices 0 to 4 on the forward strand.
        expressed_plus: uint8 (bases,), 0 or 1.
        expressed_minus: uint8 (bases,), 0 or 1.
        valid: uint8 (bases,), 1 where measured; all 1 where the archive has none.
        regions: columns contig, start, end (0-based half-open, on the contig), strand,
            offset (of the window in the arrays); rows as in the file.
        contigs: contig -> (offset in the arrays, length).
    """

    sequence: np.ndarray
    expressed_plus: np.ndarray
    expressed_minus: np.ndarray
    valid: np.ndarray
    regions: pd.DataFrame
    contigs: dict[str, tuple[int, int]]


def read_archive(
    npz: str | Path,
    regions: str | Path,
    *,
    meta: str | Path | None = None,
    sizes: Mapping[str, int] | None = None,
    window_size: int | None = None,
) -> Archive:
    """Reads an archive and checks all of it.

    Where contigs begin in the arrays is taken from ``meta``; else from ``sizes``, the
    contigs lying one after another in the order in which the regions first name them;
    else a contig is taken to begin at its first window and to reach to the next one.

    Args:
        npz: the arrays.
        regions: the windows.
        meta: JSON with lists ``contigs``, ``lengths`` and ``offsets``.
        sizes: contig (any spelling) -> length.
        window_size: the window size expected, if any.

    Raises:
        InputError: whatever is missing, damaged or inconsistent, with its place.
    """
    arrays = _read_arrays(Path(npz))
    bases = arrays["sequence"].size
    table = _read_regions(Path(regions), bases, window_size)
    if meta is not None:
        layout = _layout_from_meta(Path(meta), bases)
    elif sizes is not None:
        layout = _layout_from_sizes(Path(npz), table["contig"], sizes, bases)
    else:
        layout = _layout_from_regions(Path(regions), table, bases)
    return Archive(
        **arrays, regions=_place(Path(regions), table, layout), contigs=layout
    )


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        stored = np.load(path, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise InputError(f"{path}: one array, expected an npz of several")
        with stored:
            names = set(stored.files)
            missing = [n for n in ("sequence", *_LABELS) if n not in names]
            if missing:
                raise InputError(
                    f"{path}: lacks array {missing[0]!r}; it has "
                    f"{', '.join(sorted(names)) or 'none'}"
                )
            wanted = ["sequence", *_LABELS] + ["valid"] * ("valid" in names)
            arrays = {
                name: _as_indices(
                    path, name, stored[name], UNKNOWN if name == "sequence" else 1
                )
                for name in wanted
            }
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: not a whole npz of plain arrays ({reason}); write it again with "
            "numpy.savez_compressed"
        ) from error
    arrays.setdefault("valid", np.ones_like(arrays["sequence"]))
    bases = arrays["sequence"].size
    for name, array in arrays.items():
        if array.size != bases:
            raise InputError(
                f"{path}: {name!r} has {array.size} values, but 'sequence' has "
                f"{bases}; all arrays must have one length"
            )
    if not bases:
        raise InputError(f"{path}: the arrays are empty")
    return arrays


def _as_indices(path: Path, name: str, array: np.ndarray, top: int) -> np.ndarray:
    """The array as uint8, having checked that all of it is whole and in 0 to top."""
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise InputError(
            f"{path}: {name!r} is {array.dtype} of shape {array.shape}, expected a "
            "one-dimensional array of small integers"
        )
    wrong = ~((array >= 0) & (array <= top))
    if array.dtype.kind == "f":
        wrong |= array != np.floor(array)
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        meaning = "A C G T N = 0 1 2 3 4" if top == UNKNOWN else "0 or 1"
        raise InputError(
            f"{path}: {name!r}[{place}] is {array[place]}, expected {meaning} "
            f"({np.count_nonzero(wrong)} such values)"
        )
    return array.astype(np.uint8, copy=False)


def _read_regions(path: Path, bases: int, window_size: int | None) -> pd.DataFrame:
    try:
        table = pq.ParquetFile(path).read().to_pandas()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"{path}: not a whole parquet file ({str(error).splitlines()[0]})"
        ) from error
    missing = [name for name in _COLUMNS if name not in table.columns]
    if missing:
        raise InputError(
            f"{path}: lacks column {missing[0]!r}; it has "
            f"{', '.join(map(str, table.columns)) or 'none'}"
        )
    if table.empty:
        raise InputError(f"{path}: no regions in it")
    for name in ("offset", "window_size"):
        if table[name].isna().any() or not pd.api.types.is_integer_dtype(table[name]):
            raise InputError(
                f"{path}: column {name!r} is {table[name].dtype}, or has gaps; "
                "expected whole numbers"
            )
    first = int(table["window_size"].iloc[0])
    size = first if window_size is None else window_size
    wanted = "as in all rows"
    if window_size is not None and first != window_size:
        wanted = (
            "the recipe's windows.size; the windows of an archive are given, set it"
        )
        wanted += f" to {first}, or convert from [source.genome]"
    offset = table["offset"].to_numpy()
    checks = (
        ("window_size", table["window_size"] != size, f"{size}, {wanted}"),
        ("window_size", table["window_size"] < 1, "1 or more"),
        ("strand", ~table["strand"].isin(["+", "-"]), "'+' or '-'"),
        ("contig", ~table["contig"].map(_is_name), "the name of a contig"),
        (
            "offset",
            (offset < 0) | (offset + size > bases),
            f"0 to {bases - size}, for a window of {size} in arrays of {bases}",
        ),
        (
            "offset",
            table.duplicated(["offset", "strand"]),
            "no window twice with one strand",
        ),
    )
    for column, wrong, expected in checks:
        _refuse(path, table, column, np.asarray(wrong), expected)
    return table


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _refuse(
    path: Path, table: pd.DataFrame, column: str, wrong: np.ndarray, expected: str
) -> None:
    """Raises for the first row that is wrong."""
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        value = table[column].iloc[row]
        raise InputError(
            f"{path}: row {row}: {column} {value!s} ({table['contig'].iloc[row]}): "
            f"expected {expected} ({np.count_nonzero(wrong)} such rows)"
        )


def _layout_from_meta(path: Path, bases: int) -> _Layout:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        names, lengths, offsets = (
            list(stored[key]) for key in ("contigs", "lengths", "offsets")
        )
        layout = {
            str(name): (int(offset), int(length))
            for name, length, offset in zip(names, lengths, offsets, strict=True)
        }
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: expected JSON with lists contigs, lengths and offsets of one "
            f"length ({type(error).__name__}: {error})"
        ) from error
    position = 0
    for name, (offset, length) in sorted(layout.items(), key=lambda item: item[1]):
        if length < 1 or offset != position:
            raise InputError(
                f"{path}: contig {name!r} has offset {offset} and length {length}, "
                f"expected offset {position}: contigs lie one after another"
            )
        position += length
    if len(layout) != len(names) or position != bases:
        raise InputError(
            f"{path}: {len(layout)} different contigs of {len(names)}, {position} "
            f"bases together, but the arrays have {bases}"
        )
    return layout


def _layout_from_sizes(
    path: Path, contigs: pd.Series, sizes: Mapping[str, int], bases: int
) -> _Layout:
    names = ContigNames(sizes)
    present = list(dict.fromkeys(contigs))
    layout: _Layout = {}
    position = 0
    for contig in present:
        name = names.resolve(contig, among=present)
        if name is None:
            raise InputError(
                f"{path}: no size is known for contig {contig!r}; "
                f"{nearest(contig, sizes)}"
            )
        layout[contig] = (position, int(sizes[name]))
        position += int(sizes[name])
    if position != bases:
        raise InputError(
            f"{path}: the arrays have {bases} bases, but the {len(layout)} contigs of "
            f"the regions {position} together; give the archive's meta file"
        )
    return layout


def _layout_from_regions(path: Path, table: pd.DataFrame, bases: int) -> _Layout:
    first = table.groupby("contig", sort=False)["offset"].min().sort_values()
    origins = [int(origin) for origin in first]
    if len(set(origins)) < len(origins):
        raise InputError(
            f"{path}: two contigs begin at one offset; give the archive's meta file"
        )
    ends = [*origins[1:], bases]
    return {
        str(name): (origin, end - origin)
        for name, origin, end in zip(first.index, origins, ends, strict=True)
    }


def _place(path: Path, table: pd.DataFrame, layout: _Layout) -> pd.DataFrame:
    """Adds positions on the contig, having checked that windows stay inside it."""
    unknown = ~table["contig"].isin(list(layout)).to_numpy()
    expected = f"a contig of the archive, {nearest('', layout)}"
    _refuse(path, table, "contig", unknown, expected)
    origin = table["contig"].map({name: at for name, (at, _) in layout.items()})
    length = table["contig"].map({name: size for name, (_, size) in layout.items()})
    offset = table["offset"].to_numpy(dtype=np.int64)
    start = offset - origin.to_numpy(dtype=np.int64)
    end = start + table["window_size"].to_numpy(dtype=np.int64)
    outside = (start < 0) | (end > length.to_numpy(dtype=np.int64))
    _refuse(path, table, "offset", outside, "a window inside its contig")
    if "start" in table.columns:
        differs = table["start"].to_numpy() != start
        _refuse(path, table, "start", differs, "offset minus the contig's origin")
    return pd.DataFrame(
        {
            "contig": table["contig"].astype(object),
            "start": start,
            "end": end,
            "strand": table["strand"].astype(object),
            "offset": offset,
        }
    )


def write_archive(
    folder: str | Path,
    *,
    sequence: Mapping[str, np.ndarray],
    expressed_plus: Mapping[str, np.ndarray],
    expressed_minus: Mapping[str, np.ndarray],
    valid: Mapping[str, np.ndarray] | None,
    regions: pd.DataFrame,
    meta: Mapping[str, Any] | None = None,
) -> tuple[Path, Path, Path]:
    """Writes an archive; the same input gives the same bytes.

    Args:
        folder: where the three files go; made if absent.
        sequence: contig -> uint8 (length,), indices 0 to 4.
        expressed_plus: contig -> 0 or 1 a base, for the same contigs.
        expressed_minus: likewise.
        valid: likewise, or None to leave it out.
        regions: windows of one size: contig, start, end (0-based half-open), strand.
        meta: further entries of ``data_meta.json``.

    Returns:
        Paths of data.npz, regions.parquet and data_meta.json.

    Raises:
        InputError: arrays or windows that `read_archive` would refuse.
    """
    folder = Path(folder)
    npz, parquet, description = (
        folder / name for name in ("data.npz", "regions.parquet", "data_meta.json")
    )
    sources = {
        "sequence": sequence,
        "expressed_plus": expressed_plus,
        "expressed_minus": expressed_minus,
    }
    if valid is not None:
        sources["valid"] = valid
    if not sequence:
        raise InputError(f"{npz}: no contig to write")
    arrays = {
        name: _concatenated(npz, name, parts, sequence)
        for name, parts in sources.items()
    }
    lengths = [int(np.size(part)) for part in sequence.values()]
    offsets = np.cumsum([0, *lengths[:-1]]).tolist()
    layout = dict(zip(sequence, zip(offsets, lengths, strict=True), strict=True))

    unknown = ~regions["contig"].isin(list(sequence)).to_numpy()
    _refuse(parquet, regions, "contig", unknown, "a contig of the sequence")
    origin = regions["contig"].map(dict(zip(sequence, offsets, strict=True)))
    start = regions["start"].to_numpy(dtype=np.int64)
    table = pd.DataFrame(
        {
            "offset": start + origin.to_numpy(dtype=np.int64),
            "contig": regions["contig"].to_numpy(dtype=object),
            "window_size": regions["end"].to_numpy(dtype=np.int64) - start,
            "strand": regions["strand"].to_numpy(dtype=object),
            "start": start,
        }
    )
    _place(parquet, table, layout)
    schema = pa.schema(
        [
            ("offset", pa.int64()),
            ("contig", pa.string()),
            ("window_size", pa.int64()),
            ("strand", pa.string()),
            ("start", pa.int64()),
        ]
    )
    folder.mkdir(parents=True, exist_ok=True)
    # The description is written last: with it, the archive is whole.
    with suppress(FileNotFoundError):
        description.unlink()
    with atomic_path(npz) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    with atomic_path(parquet) as temporary:
        columns = pa.Table.from_pandas(table, schema=schema, preserve_index=False)
        pq.write_table(columns.replace_schema_metadata(None), temporary)
        _read_regions(temporary, sum(lengths), None)
    layout_entries = {"contigs": list(sequence), "lengths": lengths, "offsets": offsets}
    with atomic_path(description) as temporary:
        entries = {**(meta or {}), **layout_entries}
        temporary.write_text(json.dumps(entries, indent=1), encoding="utf-8")
    return npz, parquet, description


def _concatenated(
    path: Path,
    name: str,
    parts: Mapping[str, np.ndarray],
    sequence: Mapping[str, np.ndarray],
) -> np.ndarray:
    if list(parts) != list(sequence) and set(parts) != set(sequence):
        raise InputError(
            f"{path}: {name!r} has contigs {sorted(parts)}, but 'sequence' has "
            f"{sorted(sequence)}"
        )
    for contig in sequence:
        if np.shape(parts[contig]) != np.shape(sequence[contig]):
            raise InputError(
                f"{path}: {name!r} of contig {contig!r} has shape "
                f"{np.shape(parts[contig])}, but the sequence "
                f"{np.shape(sequence[contig])}"
            )
    joined = np.concatenate([np.asarray(parts[contig]) for contig in sequence])
    return _as_indices(path, name, joined, UNKNOWN if name == "sequence" else 1)
