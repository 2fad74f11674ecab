"""The journal of an unfinished conversion.

Line 1 of ``conversion.jsonl`` holds the fingerprint of inputs and recipe, and every
shard name the conversion may remove; then follows a line a finished shard. Where no
file can be added to, on an object store, and where many machines write, a finished
shard has a small file of its own in ``.finished`` instead. A killed conversion goes on
with the shards that are still as their entry says.
"""

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from typing import Any

from seqexp_tf.records.output import Output
from seqexp_tf.records.store import JOURNAL
from seqexp_tf.records.tfrecord import WrittenFile

FINISHED = ".finished"
"""Folder of the entries that are files of their own."""

_KEYS = {"name", "records", "bytes", "sha256", "statistics"}

Entry = dict[str, Any]
"""What is known of a finished shard: the keys of the manifest, and statistics."""


def entry_of(
    name: str, file: WrittenFile, statistics: Mapping[str, list[int]]
) -> Entry:
    """Returns the entry of a shard that has been written."""
    return {"name": name, **asdict(file), "statistics": dict(statistics)}


def write_entry(output: Output, fingerprint: str, entry: Entry) -> None:
    """Leaves a finished shard's entry beside the shard; safe on any machine."""
    content = json.dumps({"fingerprint": fingerprint, "entry": entry})
    output.write(f"{FINISHED}/{entry['name']}.json", content.encode())


class Journal:
    """Reads, restarts and extends ``conversion.jsonl``.

    Args:
        output: the dataset's place.

    Attributes:
        fingerprint: of the conversion it was begun for; None without a journal,
            empty where the journal is unreadable.
        entries: finished shards by name, in the order they were finished.
        removable: shards of this conversion and of the dataset it replaces.
    """

    def __init__(self, output: Output) -> None:
        self.output = output
        self.fingerprint: str | None = None
        self.entries: dict[str, Entry] = {}
        self.removable: set[str] = set()
        if (content := output.read(JOURNAL)) is not None:
            self._read(content)
            self.gather()

    def _read(self, content: bytes) -> None:
        self.fingerprint = ""
        for number, line in enumerate(content.split(b"\n")):
            try:
                found = json.loads(line)
            except ValueError:
                # A line torn by the kill: its shard is written again.
                break
            if not isinstance(found, dict):
                break
            if number == 0:
                self.fingerprint = found.get("fingerprint", "")
                self.removable = set(found.get("removable", ()))
            elif set(found) == _KEYS:
                self.entries[found["name"]] = found

    def gather(self) -> None:
        """Takes up the entries that are files of their own."""
        for content in self.output.read_folder(FINISHED).values():
            try:
                found = json.loads(content)
                entry = found["entry"]
                known = found["fingerprint"] == self.fingerprint
                if known and set(entry) == _KEYS:
                    self.entries[entry["name"]] = entry
            except (ValueError, KeyError, TypeError):
                continue

    def restart(
        self, fingerprint: str, planned: Mapping[str, int], replaced: AbstractSet[str]
    ) -> None:
        """Keeps what is whole, and makes the file ready for ``append``.

        Args:
            fingerprint: of the conversion that begins or goes on.
            planned: number of records by shard name.
            replaced: shards of a dataset that this conversion takes the place of.
        """
        if self.fingerprint != fingerprint:
            self.entries = {}
        self.fingerprint = fingerprint
        self.entries = {
            name: entry
            for name, entry in self.entries.items()
            if planned.get(name) == entry["records"]
            and self.output.holds(name, _written(entry))
        }
        self.removable = replaced | set(planned)
        header = {"fingerprint": fingerprint, "removable": sorted(self.removable)}
        lines = [header, *self.entries.values()]
        self.output.write(JOURNAL, b"".join(map(_line, lines)))
        self.output.remove_folder(FINISHED)

    def append(self, entry: Entry) -> None:
        """Adds a finished shard; it is stored when this returns."""
        if self.output.remote:
            write_entry(self.output, self.fingerprint or "", entry)
        else:
            self.output.append(JOURNAL, _line(entry))
        self.entries[entry["name"]] = entry

    def remove(self) -> None:
        """Removes the journal, if there is one."""
        self.output.remove_folder(FINISHED)
        self.output.remove(JOURNAL)


def _written(entry: Entry) -> WrittenFile:
    return WrittenFile(entry["records"], entry["bytes"], entry["sha256"])


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"
