"""Remote datasets: copied whole into the cache, then read like any other."""

import hashlib
from pathlib import Path

from tqdm import tqdm

from seqexp_tf.errors import DatasetError
from seqexp_tf.records.output import RemoteOutput
from seqexp_tf.records.remote import RemoteFile, cache_folder
from seqexp_tf.records.store import JOURNAL, MANIFEST, parse_manifest
from seqexp_tf.records.tfrecord import hash_file, write_atomically


def mirror(url: str) -> Path:
    """Returns a folder with the dataset of ``url``, each file verified by its hash.

    Files are fetched once; later calls only compare names and sizes with the store.

    Raises:
        DatasetError: no finished dataset there, or one that is not whole.
        InputError: a file cannot be fetched.
    """
    remote = RemoteOutput(url.rstrip("/"))
    content = remote.read(MANIFEST)
    if content is None:
        if remote.read(JOURNAL) is not None:
            raise DatasetError(
                f"{url}: the conversion has not finished; run the same `seqexp-tf "
                "convert` command again to go on"
            )
        raise DatasetError(
            f"{url}: not a dataset, {MANIFEST} is missing; make one with `seqexp-tf "
            "convert RECIPE --out ADDRESS`"
        )
    manifest = parse_manifest(content, remote.place(MANIFEST))
    shards = [
        shard for split in manifest["splits"].values() for shard in split["shards"]
    ]
    hashes = {shard["name"]: shard["sha256"] for shard in shards} | manifest["files"]
    sizes = {shard["name"]: shard["bytes"] for shard in shards}
    # A web server lists nothing; there, sizes are checked as files come.
    found = hashes if url.startswith(("http://", "https://")) else remote.sizes()
    for name in hashes:
        if "/" in name or name not in found:
            raise DatasetError(f"{remote.place(name)}: missing; convert it again")
        if found is not hashes and found[name] != sizes.get(name, found[name]):
            raise DatasetError(
                f"{remote.place(name)}: {found[name]:,} bytes, the manifest says "
                f"{sizes[name]:,}; convert it again"
            )
    key = hashlib.sha256(content).hexdigest()[:16]
    folder = cache_folder() / "datasets" / key
    if not (folder / MANIFEST).is_file():
        with tqdm(
            total=sum(sizes.values()), unit="B", unit_scale=True, disable=None
        ) as bar:
            for name, digest in hashes.items():
                size = sizes.get(name)
                _bring(RemoteFile(remote.place(name), folder / name, size), digest)
                bar.update(size or 0)
        write_atomically(folder / MANIFEST, content)
    return folder


def _bring(file: RemoteFile, digest: str) -> None:
    if hash_file(file.bring()) != digest:
        file.path.unlink()
        raise DatasetError(
            f"{file.url}: content differs from the manifest's sha256; convert it again"
        )
