"""A folder of immutable model versions: `root/name/version/file`.

A version appears whole or not at all: its files are written and synced in a hidden folder beside it, which is then
renamed. Readers trust nothing in it but what matches the manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models.registry.errors import BrokenSnapshot, VersionTaken

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_VERSION = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,63}")
_FILE = re.compile(r"[a-z0-9_]{1,64}\.(safetensors|json)")

ABANDONED_AFTER_S = 3600
"""No write takes this long: a hidden folder older than that was left by a crash."""


class FileMark(Protocol):
    """What a manifest says of one file. `sha256`: 64 lower-case hex digits. `size`: bytes."""

    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def size(self) -> int: ...


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file as it lies in the store: a `FileMark`."""

    name: str
    sha256: str
    size: int


def version_for(examples: int, files: Mapping[str, bytes]) -> str:
    """`000000012345-9f86d081`: examples learned, then 8 digits of the content's digest.

    Sorts in the order of learning; equal content after equally many examples gives the same version.
    """
    if examples < 0:
        raise ValueError(f"examples is {examples}: a count starts at 0")
    listing = "\n".join(f"{mark.name} {mark.sha256}" for mark in _marks(files))
    return f"{examples:012d}-{hashlib.sha256(listing.encode()).hexdigest()[:8]}"


class ModelStore:
    """Versions of models under `root`, which is made on the first write. Several processes may share it.

    Names as in the manifests: a model name is `[a-z][a-z0-9_]*`, a version `[a-zA-Z0-9_][a-zA-Z0-9._-]*`, a file
    `[a-z0-9_]+.safetensors` or `.json`. Every method raises `ValueError` for others, so no name leads out of `root`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, name: str, version: str, files: Mapping[str, bytes]) -> tuple[StoredFile, ...]:
        """Store a version and return its files' marks, sorted by name, for the manifest.

        On return the version is on the disk, beyond a power failure. Writing what is already there changes nothing.
        Raises `VersionTaken` if the version exists with other content, `OSError` if the disk refuses.
        """
        folder = self._folder(name, version)
        if not files:
            raise ValueError(f"version {version} of {name} has no files")
        for file in files:
            _check(_FILE, "file", file)
        marks = _marks(files)
        if not folder.exists():
            self._publish(folder, files)
        self._require_equal(folder, marks)
        # Also for a version found there: whoever renamed it may have died before this line.
        _sync_folder(folder.parent)
        return marks

    def read(self, name: str, version: str, expected: Iterable[FileMark]) -> dict[str, bytes]:
        """The expected files' content by name, each of the stated size and SHA-256.

        Raises `BrokenSnapshot` with name, version, file and reason if one is missing, unreadable or different.
        """
        folder = self._folder(name, version)
        content: dict[str, bytes] = {}
        for mark in expected:
            _check(_FILE, "file", mark.name)
            where = f"{name} {version}, file {mark.name}"
            try:
                with (folder / mark.name).open("rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    if size != mark.size:
                        raise BrokenSnapshot(f"{where}: has {size} bytes, the manifest says {mark.size}")
                    data = file.read()
            except OSError as error:
                raise BrokenSnapshot(f"{where}: cannot be read: {error.strerror}") from error
            digest = hashlib.sha256(data).hexdigest()
            if digest != mark.sha256:
                raise BrokenSnapshot(f"{where}: has SHA-256 {digest}, the manifest says {mark.sha256}")
            content[mark.name] = data
        return content

    def versions(self, name: str) -> tuple[str, ...]:
        """The model's versions, sorted by name; none if the model is unknown."""
        parent = self._parent(name)
        if not parent.is_dir():
            return ()
        return tuple(
            sorted(entry.name for entry in parent.iterdir() if _VERSION.fullmatch(entry.name) and entry.is_dir())
        )

    def prune(self, name: str, keep: Collection[str]) -> tuple[str, ...]:
        """Delete the model's versions that are not in `keep`, and what crashed writes left. Returns the deleted
        versions.

        One process prunes a model at a time; others may write and read meanwhile.
        """
        gone = tuple(version for version in self.versions(name) if version not in keep)
        parent = self._parent(name)
        for version in gone:
            # Renamed first, so that a crash in the middle leaves no half version to be seen.
            hidden = Path(tempfile.mkdtemp(prefix=".removed-", dir=parent))
            (parent / version).rename(hidden / version)
            shutil.rmtree(hidden)
        if parent.is_dir():
            _remove_abandoned(parent)
        return gone

    def _publish(self, folder: Path, files: Mapping[str, bytes]) -> None:
        _make_folder(folder.parent)
        hidden = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder.parent))
        try:
            hidden.chmod(0o755)
            for file, data in files.items():
                _write_synced(hidden / file, data)
            _sync_folder(hidden)
            try:
                hidden.rename(folder)
            except OSError:
                # Another process was first: the caller compares what it wrote.
                if not folder.is_dir():
                    raise
        finally:
            shutil.rmtree(hidden, ignore_errors=True)

    def _require_equal(self, folder: Path, marks: tuple[StoredFile, ...]) -> None:
        name, version = folder.parent.name, folder.name
        present = sorted(entry.name for entry in folder.iterdir())
        try:
            if present != [mark.name for mark in marks]:
                raise BrokenSnapshot(f"{name} {version}: has the files {present}")
            self.read(name, version, marks)
        except BrokenSnapshot as error:
            raise VersionTaken(f"the version exists with other content ({error}): choose another version") from error

    def _parent(self, name: str) -> Path:
        return self._root / _check(_NAME, "model", name)

    def _folder(self, name: str, version: str) -> Path:
        return self._parent(name) / _check(_VERSION, "version", version)


def _check(pattern: re.Pattern[str], what: str, value: str) -> str:
    if not pattern.fullmatch(value):
        raise ValueError(f"{value!r} is no {what} name: it must match {pattern.pattern}")
    return value


def _marks(files: Mapping[str, bytes]) -> tuple[StoredFile, ...]:
    return tuple(StoredFile(file, hashlib.sha256(files[file]).hexdigest(), len(files[file])) for file in sorted(files))


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_abandoned(parent: Path) -> None:
    probe = Path(tempfile.mkdtemp(prefix=".removed-", dir=parent))
    now_s = probe.stat().st_mtime  # the file system's own clock, the one that stamped the others
    probe.rmdir()
    for entry in parent.glob(".*"):
        if not entry.name.startswith((".incoming-", ".removed-")):
            continue
        with contextlib.suppress(FileNotFoundError):  # a writer has just published it
            if now_s - entry.stat().st_mtime > ABANDONED_AFTER_S:
                shutil.rmtree(entry, ignore_errors=True)
