"""The broker's jars: fetched once by Maven coordinate, checked by SHA-256 before every start.

`jars.sha256` is the committed list, one line a jar: its SHA-256, two spaces, its path in a Maven repository
(which names the coordinate). `sha256sum --check` reads it too. Versions are resolved when the list is made
(`lock.py`), never at start: fetching reads the list alone, so no repository can add or exchange a jar.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from streams.broker.errors import BrokerError, DependencyUnreachableError, JarError

LIST_FILE = Path(__file__).with_name("jars.sha256")
FETCH_THREADS = 8
FETCH_ATTEMPTS = 3
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Jar:
    """One line of the list: lower-case hex SHA-256 and path in a Maven repository."""

    sha256: str
    path: PurePosixPath

    @property
    def group(self) -> str:
        return ".".join(self.path.parts[:-3])

    @property
    def artifact(self) -> str:
        return self.path.parts[-3]

    @property
    def version(self) -> str:
        return self.path.parts[-2]


@dataclass(frozen=True)
class JarList:
    """The committed list, in class path order."""

    jars: tuple[Jar, ...]
    digest: str  # SHA-256 of the list itself: another list is another cache folder

    @property
    def kafka_version(self) -> str:
        return next(jar.version for jar in self.jars if jar.artifact.startswith("kafka_"))

    def folder(self, cache_dir: Path) -> Path:
        """Where this list's jars lie in the cache."""
        return cache_dir.expanduser().absolute() / f"kafka-{self.kafka_version}-{self.digest[:12]}"


def read_list(file: Path = LIST_FILE) -> JarList:
    """Read the committed list.

    Raises:
        JarError: a line is malformed, or no Kafka is in the list.
    """
    text = file.read_text("ascii")
    jars = []
    for number, line in enumerate(text.splitlines(), start=1):
        sha256, _, name = line.partition("  ")
        path = PurePosixPath(name)
        well_formed = len(sha256) == 64 and set(sha256) <= set("0123456789abcdef")
        maven_layout = len(path.parts) >= 4 and path.name == f"{path.parts[-3]}-{path.parts[-2]}.jar"
        if not well_formed or not maven_layout or ".." in path.parts or path.is_absolute():
            raise JarError(f"{file.name}, line {number}: not `sha256  group/artifact/version/file.jar`: {line!r}")
        jars.append(Jar(sha256, path))
    if not any(jar.artifact.startswith("kafka_") for jar in jars):
        raise JarError(f"{file.name} lists no kafka_2.13: make it anew with `python -m streams.broker.lock`")
    return JarList(tuple(jars), hashlib.sha256(text.encode()).hexdigest())


def ensure(
    jar_list: JarList,
    cache_dir: Path,
    *,
    repositories: Mapping[str, str] | None = None,
    on_progress: Progress | None = None,
) -> list[Path]:
    """Fetch what the cache lacks, check everything, return the class path.

    `repositories` maps names to base URLs of Maven repositories; unset: Maven Central.

    Raises:
        DependencyUnreachableError: a jar isn't in the cache and can't be fetched.
        JarError: see `verify`.
    """
    folder = jar_list.folder(cache_dir)
    if os.pathsep in str(folder):
        raise BrokerError(f"the cache folder {folder} has {os.pathsep!r} in its path, which Java can't read: move it")
    with _one_at_a_time(folder):
        missing = [jar for jar in jar_list.jars if not (folder / jar.path).exists()]
        if missing:
            if on_progress is not None:
                on_progress(f"fetching {len(missing)} jars of Kafka {jar_list.kafka_version} into {folder}")
            fetch(missing, folder, repositories)
        return verify(jar_list, cache_dir)


def verify(jar_list: JarList, cache_dir: Path) -> list[Path]:
    """Check the SHA-256 of each listed jar and that no other jar is there; return the class path.

    A damaged jar is removed, so that the next start fetches it anew.

    Raises:
        JarError: a jar is damaged, missing, or in the folder without being listed.
    """
    folder = jar_list.folder(cache_dir)
    listed = {folder / jar.path: jar.sha256 for jar in jar_list.jars}
    stranger = next((path for path in sorted(folder.rglob("*.jar")) if path not in listed), None)
    if stranger is not None:
        raise JarError(
            f"{stranger} isn't a jar of the committed list {LIST_FILE.name}; Java was not started. "
            "Find out how it got there and remove it."
        )
    for path, expected in listed.items():
        if not path.exists():
            raise JarError(f"{path} is missing from the cache. Start the broker again to fetch it.")
        actual = _sha256(path)
        if actual != expected:
            path.unlink()
            raise JarError(
                f"the jar {path} is damaged: its SHA-256 is {actual}, the committed list {LIST_FILE.name} says "
                f"{expected}. Java was not started and the jar was removed: start the broker again to fetch it anew."
            )
    return list(listed)


def fetch(jars: list[Jar], folder: Path, repositories: Mapping[str, str] | None = None) -> None:
    """Fetch jars into `folder`; each appears there whole and checked, or not at all.

    Raises:
        DependencyUnreachableError: no network, or the repository doesn't have the jar.
        JarError: the repository delivers other bytes than the list says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as arriving,
        ThreadPoolExecutor(FETCH_THREADS) as pool,
    ):
        futures = [pool.submit(_fetch_one, jar, folder, Path(arriving), repositories) for jar in jars]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)  # the first failure says it all
            raise


def _fetch_one(jar: Jar, folder: Path, arriving: Path, repositories: Mapping[str, str] | None) -> None:
    path = _download(jar, arriving, repositories)
    actual = _sha256(path)
    if actual != jar.sha256:
        raise JarError(
            f"the repository delivered a {jar.path.name} with SHA-256 {actual}, the committed list {LIST_FILE.name} "
            f"says {jar.sha256}; it was thrown away. A proxy may have changed it: try another network."
        )
    target = folder / jar.path
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, target)


def _download(jar: Jar, into: Path, repositories: Mapping[str, str] | None) -> Path:
    # Imported here: a start from the cache needs neither, and they cost a third of a second.
    import requests
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=into, remote_repos=None if repositories is None else dict(repositories))
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    for attempt in range(1, FETCH_ATTEMPTS + 1):
        try:
            return Path(artifact.resolve())
        except (requests.RequestException, RuntimeError) as error:  # RuntimeError: no repository has it
            Path(artifact.cached_path).unlink(missing_ok=True)  # a torn download would pass for a cached jar
            if attempt == FETCH_ATTEMPTS:
                raise DependencyUnreachableError(
                    f"{jar.path.name} isn't in the cache {into.parent} and can't be fetched: {_short(error)}. "
                    "The first start needs the network; without one, copy the cache folder from a machine that has "
                    "started this version of the broker."
                ) from error
    raise AssertionError("unreachable")


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Two first starts at once shouldn't fetch everything twice."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:297] + "..."
