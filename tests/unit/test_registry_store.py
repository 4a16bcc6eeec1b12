"""Model store: versions appear whole, never change, and are believed only if they match the manifest."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from models.registry.errors import BrokenSnapshot, VersionTaken
from models.registry.store import ABANDONED_AFTER_S, ModelStore, StoredFile, version_for

FILES = {"weights.safetensors": b"w" * 1000, "calibration.json": b"{}"}


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_what_was_written_is_read(store: ModelStore) -> None:
    marks = store.write("conversion", "v1", FILES)
    assert [mark.name for mark in marks] == sorted(FILES)
    assert store.read("conversion", "v1", marks) == FILES
    assert store.versions("conversion") == ("v1",)


def test_nothing_hidden_is_left_after_a_write(store: ModelStore, tmp_path: Path) -> None:
    store.write("conversion", "v1", FILES)
    files = {f"conversion/v1/{name}" for name in FILES}
    assert everything(tmp_path / "models") == {"conversion", "conversion/v1", *files}


def test_versions_are_sorted_and_none_for_an_unknown_model(store: ModelStore) -> None:
    for version in ("b", "a", "c"):
        store.write("conversion", version, FILES)
    assert store.versions("conversion") == ("a", "b", "c")
    assert store.versions("encoder") == ()


def test_writing_the_same_version_again_changes_nothing(store: ModelStore, tmp_path: Path) -> None:
    marks = store.write("conversion", "v1", FILES)
    written = (tmp_path / "models/conversion/v1/weights.safetensors").stat().st_mtime_ns
    assert store.write("conversion", "v1", dict(reversed(FILES.items()))) == marks
    assert (tmp_path / "models/conversion/v1/weights.safetensors").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    "other",
    [
        {**FILES, "calibration.json": b"[]"},
        {**FILES, "calibration.json": b"{ }"},
        {"calibration.json": b"{}"},
        {**FILES, "more.json": b"1"},
    ],
)
def test_a_version_never_changes(store: ModelStore, other: dict[str, bytes]) -> None:
    marks = store.write("conversion", "v1", FILES)
    with pytest.raises(VersionTaken, match="conversion v1"):
        store.write("conversion", "v1", other)
    assert store.read("conversion", "v1", marks) == FILES


class Crash(BaseException):
    """As a process that dies there: nobody catches it."""


def crash(*_: object, **__: object) -> None:
    raise Crash


@pytest.mark.parametrize("moment", ["rename", "fsync"])
def test_a_crash_before_the_rename_leaves_no_version(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    store.write("conversion", "v1", FILES)
    with monkeypatch.context() as patch:
        patch.setattr(os, moment, crash)
        patch.setattr(Path, "rename", crash)
        patch.setattr("shutil.rmtree", lambda *_, **__: None)  # a dead process cleans nothing up
        with pytest.raises(Crash):
            store.write("conversion", "v2", FILES)
    assert store.versions("conversion") == ("v1",)
    marks = store.write("conversion", "v2", FILES)
    assert store.read("conversion", "v2", marks) == FILES


def test_files_are_on_the_disk_before_the_version_appears(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    sync, rename = os.fsync, Path.rename

    def recorded_sync(handle: int) -> None:
        order.append("sync " + Path(os.readlink(f"/proc/self/fd/{handle}")).name.split("-")[0])
        sync(handle)

    def recorded_rename(source: Path, target: Path) -> Path:
        order.append("rename")
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", recorded_sync)
    monkeypatch.setattr(Path, "rename", recorded_rename)
    store.write("conversion", "v1", FILES)
    files = [f"sync {name}" for name in FILES]
    assert order[-6:] == ["sync models", *files, "sync .incoming", "rename", "sync conversion"]


def test_a_disk_that_refuses_leaves_nothing_behind(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    store.write("conversion", "v1", FILES)
    before = everything(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.write("conversion", "v2", FILES)
    assert everything(tmp_path) == before


def test_of_two_writers_at_once_both_succeed_with_equal_content(store: ModelStore) -> None:
    barrier = threading.Barrier(8)
    results: list[tuple[StoredFile, ...]] = []

    def write() -> None:
        barrier.wait()
        results.append(store.write("conversion", "v1", FILES))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert len(set(results)) == 1
    assert store.read("conversion", "v1", results[0]) == FILES


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (grow, "has 1001 bytes, the manifest says 1000"),
        (empty, "has 0 bytes, the manifest says 1000"),
        (flip, "has SHA-256 [0-9a-f]{64}, the manifest says [0-9a-f]{64}"),
        (Path.unlink, "cannot be read: No such file"),
        (into_folder, "cannot be read: Is a directory"),
    ],
)
def test_damage_is_refused_with_name_version_file_and_reason(
    store: ModelStore, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    marks = store.write("conversion", "v1", FILES)
    damage(tmp_path / "models/conversion/v1/weights.safetensors")
    with pytest.raises(BrokenSnapshot, match=rf"conversion v1, file weights\.safetensors: {reason}"):
        store.read("conversion", "v1", marks)


def test_a_version_that_was_never_written_is_refused(store: ModelStore) -> None:
    with pytest.raises(BrokenSnapshot, match=r"conversion v9, file a\.json: cannot be read"):
        store.read("conversion", "v9", [StoredFile("a.json", "0" * 64, 2)])


BAD_NAMES = ["", ".", "..", "../x", "a/b", "/etc", "a\\b", "a\n", "a\x00", "ü", "x" * 65]


@pytest.mark.parametrize("bad", BAD_NAMES)
def test_no_name_leads_out_of_the_store(store: ModelStore, tmp_path: Path, bad: str) -> None:
    mark = StoredFile(bad, "0" * 64, 2)
    for attempt in (
        lambda: store.write(bad, "v1", FILES),
        lambda: store.write("conversion", bad, FILES),
        lambda: store.write("conversion", "v1", {bad: b"x"}),
        lambda: store.read(bad, "v1", []),
        lambda: store.read("conversion", bad, []),
        lambda: store.read("conversion", "v1", [mark]),
        lambda: store.versions(bad),
        lambda: store.prune(bad, ()),
    ):
        with pytest.raises(ValueError, match="name: it must match"):
            attempt()
    assert everything(tmp_path) == set()


def test_a_version_without_files_is_refused(store: ModelStore) -> None:
    with pytest.raises(ValueError, match="no files"):
        store.write("conversion", "v1", {})


def test_pruning_keeps_what_it_is_told_and_other_models(store: ModelStore, tmp_path: Path) -> None:
    for version in ("a", "b", "c"):
        store.write("conversion", version, FILES)
    store.write("encoder", "a", FILES)
    assert store.prune("conversion", {"b", "unknown"}) == ("a", "c")
    assert store.versions("conversion") == ("b",)
    assert store.versions("encoder") == ("a",)
    assert {path.name for path in (tmp_path / "models/conversion").iterdir()} == {"b"}
    assert store.prune("unknown", ()) == ()


def test_pruning_removes_what_crashes_left_but_not_a_write_in_progress(store: ModelStore, tmp_path: Path) -> None:
    store.write("conversion", "a", FILES)
    parent = tmp_path / "models/conversion"
    (parent / ".incoming-young").mkdir()
    for name in (".incoming-old", ".removed-old"):
        (parent / name).mkdir()
        (parent / name / "part.json").write_bytes(b"{")
        long_ago = (parent / ".incoming-young").stat().st_mtime - ABANDONED_AFTER_S - 60
        os.utime(parent / name, (long_ago, long_ago))
    assert store.prune("conversion", {"a"}) == ()
    assert {path.name for path in parent.iterdir()} == {"a", ".incoming-young"}
    assert store.versions("conversion") == ("a",)


def test_equal_content_has_an_equal_version_and_versions_sort_as_learned() -> None:
    version = version_for(12_345, FILES)
    assert version == "000000012345-a4e7ab8f"
    assert version_for(12_345, dict(reversed(FILES.items()))) == version
    assert version_for(12_345, {**FILES, "calibration.json": b"[]"}) != version
    assert version_for(12_345, {"other.json": b"{}", "weights.safetensors": b"w" * 1000}) != version
    assert sorted([version_for(100, FILES), version_for(20, FILES), version_for(3, FILES)]) == [
        version_for(3, FILES),
        version_for(20, FILES),
        version_for(100, FILES),
    ]
    with pytest.raises(ValueError, match="examples is -1"):
        version_for(-1, FILES)


def test_a_version_of_version_for_is_a_version_of_the_store(store: ModelStore) -> None:
    version = version_for(10**12, FILES)
    store.write("conversion", version, FILES)
    assert store.versions("conversion") == (version,)
