"""The broker's jars: whatever is wrong with one, Java isn't started and the message names jar and repair."""

from __future__ import annotations

import gc
import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from streams.broker import DependencyUnreachableError, JarError, jars

JARS = {
    "org/example/kafka_2.13/4.0.2/kafka_2.13-4.0.2.jar": b"the broker",
    "org/example/helper/1.5/helper-1.5.jar": b"a helper",
}


@pytest.fixture
def jar_list(tmp_path: Path) -> jars.JarList:
    file = tmp_path / "jars.sha256"
    file.write_text("".join(f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in JARS.items()))
    return jars.read_list(file)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A Maven repository on loopback: its folder and its address."""
    root = tmp_path / "repository"
    lay_out(root)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield root, {"local": f"http://127.0.0.1:{server.server_port}"}
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def nowhere() -> dict[str, str]:
    """A repository address where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return {"nowhere": f"http://127.0.0.1:{unused.getsockname()[1]}"}


def lay_out(root: Path) -> None:
    for name, data in JARS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def test_the_first_start_fetches_every_jar_and_the_second_needs_no_network(
    jar_list: jars.JarList, repository: tuple[Path, dict[str, str]], nowhere: dict[str, str], tmp_path: Path
) -> None:
    told: list[str] = []
    first = jars.ensure(jar_list, tmp_path / "cache", repositories=repository[1], on_progress=told.append)
    assert [path.read_bytes() for path in first] == list(JARS.values())
    assert len(told) == 1
    assert "fetching 2 jars" in told[0]
    again = jars.ensure(jar_list, tmp_path / "cache", repositories=nowhere, on_progress=told.append)
    assert again == first
    assert len(told) == 1
    assert not list((tmp_path / "cache").glob(".fetch-*"))


def test_without_network_and_cache_the_error_says_that_the_first_start_needs_one(
    jar_list: jars.JarList, nowhere: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(DependencyUnreachableError, match=r"can't be fetched.*first start needs the network") as caught:
        jars.ensure(jar_list, tmp_path / "cache", repositories=nowhere)
    assert "copy the cache folder" in str(caught.value)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # jgo doesn't close a refused response
def test_a_jar_that_no_repository_has_is_unreachable_and_the_others_are_kept(
    jar_list: jars.JarList, repository: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    root, address = repository
    (root / "org/example/helper/1.5/helper-1.5.jar").unlink()
    with pytest.raises(DependencyUnreachableError, match=r"helper-1\.5\.jar isn't in the cache"):
        jars.ensure(jar_list, tmp_path / "cache", repositories=address)
    folder = jar_list.folder(tmp_path / "cache")
    assert [path.name for path in folder.rglob("*.jar")] == ["kafka_2.13-4.0.2.jar"]
    gc.collect()  # the warning comes here, where it is expected


def test_a_repository_that_delivers_other_bytes_leaves_nothing_in_the_cache(
    jar_list: jars.JarList, repository: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    root, address = repository
    (root / "org/example/helper/1.5/helper-1.5.jar").write_bytes(b"a helper, with something more")
    with pytest.raises(JarError, match=r"repository delivered a helper-1\.5\.jar"):
        jars.ensure(jar_list, tmp_path / "cache", repositories=address)
    assert not list((tmp_path / "cache").rglob("helper-1.5.jar"))


@pytest.mark.parametrize("damage", [b"", b"a helpeR", b"a helper and more"])
def test_a_damaged_jar_is_named_and_removed_and_the_next_start_fetches_it_anew(
    damage: bytes, jar_list: jars.JarList, repository: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    helper = jars.ensure(jar_list, cache, repositories=repository[1])[1]
    helper.write_bytes(damage)
    with pytest.raises(JarError, match=re.escape(str(helper)) + r" is damaged.*start the broker again"):
        jars.ensure(jar_list, cache, repositories=repository[1])
    assert not helper.exists()
    assert jars.ensure(jar_list, cache, repositories=repository[1])[1].read_bytes() == b"a helper"


def test_a_jar_that_is_not_in_the_list_is_refused_and_left_for_inspection(
    jar_list: jars.JarList, tmp_path: Path
) -> None:
    lay_out(jar_list.folder(tmp_path))
    stranger = jar_list.folder(tmp_path) / "org/example/evil-1.0.jar"
    stranger.write_bytes(b"?")
    with pytest.raises(JarError, match=re.escape(str(stranger)) + " isn't a jar of the committed list"):
        jars.ensure(jar_list, tmp_path)
    assert stranger.exists()


def test_a_listed_jar_that_is_missing_fails_the_check(jar_list: jars.JarList, tmp_path: Path) -> None:
    lay_out(jar_list.folder(tmp_path))
    assert len(jars.verify(jar_list, tmp_path)) == 2
    (jar_list.folder(tmp_path) / "org/example/helper/1.5/helper-1.5.jar").unlink()
    with pytest.raises(JarError, match=r"helper-1\.5\.jar is missing"):
        jars.verify(jar_list, tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "abc  org/example/helper/1.5/helper-1.5.jar",
        "0" * 64 + " org/example/helper/1.5/helper-1.5.jar",
        "0" * 64 + "  helper-1.5.jar",
        "0" * 64 + "  org/../../helper/1.5/helper-1.5.jar",
        "0" * 64 + "  /org/example/helper/1.5/helper-1.5.jar",
        "0" * 64 + "  org/example/helper/1.5/other-1.5.jar",
    ],
)
def test_a_malformed_line_of_the_list_is_named(line: str, tmp_path: Path) -> None:
    file = tmp_path / "jars.sha256"
    file.write_text("\n".join([f"{'1' * 64}  org/example/kafka_2.13/4.0.2/kafka_2.13-4.0.2.jar", line]))
    with pytest.raises(JarError, match="line 2"):
        jars.read_list(file)


def test_another_list_uses_another_cache_folder(jar_list: jars.JarList, tmp_path: Path) -> None:
    other = tmp_path / "other.sha256"
    other.write_text(f"{'1' * 64}  org/example/kafka_2.13/4.0.2/kafka_2.13-4.0.2.jar\n")
    assert jars.read_list(other).folder(tmp_path) != jar_list.folder(tmp_path)


def test_the_committed_list_is_one_kafka_4_0_with_no_artifact_twice() -> None:
    committed = jars.read_list()
    assert committed.kafka_version.startswith("4.0.")
    assert {jar.version for jar in committed.jars if jar.group == "org.apache.kafka"} == {committed.kafka_version}
    assert len({jar.artifact for jar in committed.jars}) == len(committed.jars)
    assert len({jar.version for jar in committed.jars if jar.group == "org.apache.logging.log4j"}) == 1
