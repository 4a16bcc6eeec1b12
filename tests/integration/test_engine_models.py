"""A score worker takes new snapshots into use while it runs, and refuses broken ones while the old stays in use."""

from __future__ import annotations

import hashlib
import json
import math
import pickle  # noqa: TID251  to be refused
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from engine_driver import Engine, Sent, Worker, event, wait_for
from safetensors.numpy import load, save

from models.registry.store import ModelStore, StoredFile, version_for
from streams.contracts.snapshots import LearnedUpTo, Manifest, ModelFile
from streams.contracts.topics import Name
from streams.features import view
from streams.learning import ConversionFamily
from streams.serving import TENSORS

pytestmark = pytest.mark.broker

_OLD_MS = 1_767_600_000_000


def _trained(examples: int) -> bytes:
    """A conversion model that has learned a little."""
    from streams.contracts.examples import Outcome
    from streams.contracts.identity import Seq

    family = ConversionFamily()
    for n in range(examples):
        vector = tuple(0 for _ in view.FEATURES)
        family.learn(
            Outcome(
                id=str(n), seq=Seq(n, 0), ts_ms=_OLD_MS, touch_id=str(n), touch_type="view", item_id="i",
                touched_ms=_OLD_MS, horizon_ms=1, label=1, delay_ms=0, feature_schema=view.SCHEMA,
                features=view.pack(vector),
            )
        )  # fmt: skip
    return family.files()[TENSORS]


def _announce(engine: Engine, data: bytes, rank: int, **different: Any) -> Manifest:
    """Store a version and announce it, as the learner does; `different` fields make the manifest wrong."""
    files = {TENSORS: data}
    version = version_for(rank, files)
    stored = ModelStore(engine.store).write("conversion", version, files)
    manifest = Manifest(
        name="conversion",
        version=version,
        learner_epoch=1,
        learned=(LearnedUpTo(partition=0, next_offset=rank, seq=None),),
        feature_schema=view.SCHEMA,
        trained_ms=_OLD_MS,
        examples=rank,
        files=tuple(ModelFile(name=file.name, sha256=file.sha256, size=file.size) for file in stored),
        metrics={},
        software={},
    )
    manifest = msgspec.structs.replace(manifest, **different)
    engine.send([Sent(b"conversion", msgspec.json.encode(manifest), partition=0)], Name.SNAPSHOTS)
    return manifest


def _mark(data: bytes) -> StoredFile:
    return StoredFile(TENSORS, hashlib.sha256(data).hexdigest(), len(data))


class Shop:
    """Sends one view at a time and returns its conversion output."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sent = 0

    def view(self) -> dict[str, Any]:
        self.engine.send([event("view", self.sent, "u", _OLD_MS + self.sent, item_id="i")])
        self.sent += 1
        wait_for("its output", lambda: self.engine.count(Name.CONVERSIONS) == self.sent)
        output = json.loads(self.engine.read(Name.CONVERSIONS)[0][-1].value or b"")
        assert output["cause"]["offset"] == self.sent - 1
        return output  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def engine(new_engine: Callable[..., Engine]) -> Engine:
    return new_engine(1)


@pytest.fixture(scope="module")
def worker(engine: Engine) -> Worker:
    return engine.start()


@pytest.fixture(scope="module")
def shop(engine: Engine, worker: Worker) -> Shop:
    return Shop(engine)


@pytest.fixture(scope="module")
def in_use(engine: Engine, worker: Worker, shop: Shop) -> tuple[Manifest, dict[str, Any]]:
    """The first version, taken into use by a worker that began without any; with an output from before."""
    before = shop.view()
    manifest = _announce(engine, _trained(50), 100)
    worker.wait_said("model in use", version=manifest.version)
    return manifest, before


def test_outputs_before_the_first_snapshot_are_the_prior_and_say_so(in_use: tuple[Manifest, dict[str, Any]]) -> None:
    _, before = in_use
    assert before["model"] == {"name": "conversion", "version": ""}
    assert before["degraded"] is True
    assert before["probability"] == pytest.approx(view.PRIOR_CONVERSION_RATE)


def test_a_new_snapshot_is_taken_into_use_while_running_and_outputs_name_it(
    in_use: tuple[Manifest, dict[str, Any]], shop: Shop, worker: Worker
) -> None:
    manifest, before = in_use
    output = shop.view()
    assert output["model"] == {"name": "conversion", "version": manifest.version}
    assert output["degraded"] is False
    assert output["probability"] > before["probability"]
    assert worker.metric("clickwake_model_info", name="conversion", version=manifest.version) == 1


def _not_finite(data: bytes) -> bytes:
    tensors = {name: np.array(tensor) for name, tensor in load(data).items()}
    tensors["w"][0] = math.nan
    return bytes(save(tensors))


KINDS = ["truncated", "wrong hash", "missing", "not finite", "feature schema", "pickle", "other tensors"]


def _broken(engine: Engine, kind: str) -> tuple[Manifest, str]:
    """A faulty version that ranks above all before it, and what its refusal must say."""
    good, rank = _trained(60), 200 + KINDS.index(kind)
    if kind == "truncated":
        folder = engine.store / "conversion" / "truncated"
        folder.mkdir()
        (folder / TENSORS).write_bytes(good[:-100])
        return _announce(engine, good, rank, version="truncated"), "bytes, the manifest says"
    if kind == "wrong hash":
        other = bytes([*good[:-1], good[-1] ^ 1])
        return _announce(
            engine, good, rank, files=(ModelFile(name=TENSORS, sha256=_mark(other).sha256, size=len(good)),)
        ), "SHA-256"
    if kind == "missing":
        return _announce(engine, good, rank, version="missing"), "cannot be read"
    if kind == "not finite":
        return _announce(engine, _not_finite(good), rank), "NaN"
    if kind == "feature schema":
        return _announce(engine, good, rank, feature_schema="other"), "feature schema other"
    if kind == "pickle":
        return _announce(engine, pickle.dumps({"w": [1.0]}), rank), "not a readable safetensors file"
    assert kind == "other tensors"
    return _announce(engine, bytes(save({"v": np.zeros(3)})), rank), ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_snapshot_is_refused_with_its_reason_and_the_old_one_stays_in_use(
    in_use: tuple[Manifest, dict[str, Any]], engine: Engine, worker: Worker, shop: Shop, kind: str
) -> None:
    refused = worker.metric("clickwake_snapshot_refused_total", model="conversion")
    known = len(worker.said("snapshot refused"))
    manifest, reason = _broken(engine, kind)
    wait_for("the refusal", lambda: len(worker.said("snapshot refused")) > known)
    line = worker.said("snapshot refused")[-1]
    assert (line["model"], line["version"], line["level"]) == ("conversion", manifest.version, "error")
    assert reason in line["reason"]
    assert len(line["reason"]) > 10
    assert worker.metric("clickwake_snapshot_refused_total", model="conversion") == refused + 1
    assert shop.view()["model"]["version"] == in_use[0].version


def test_a_stale_manifest_is_ignored_and_a_newer_one_used(
    in_use: tuple[Manifest, dict[str, Any]], engine: Engine, worker: Worker, shop: Shop
) -> None:
    stale = _announce(engine, _trained(5), 50)
    newer = _announce(engine, _trained(70), 300)
    worker.wait_said("model in use", version=newer.version)
    assert not worker.said("model in use", version=stale.version)
    assert shop.view()["model"]["version"] == newer.version
    assert worker.stop() == 0


def test_a_restarted_worker_takes_the_newest_snapshot_before_its_first_output(
    in_use: tuple[Manifest, dict[str, Any]], engine: Engine, shop: Shop
) -> None:
    newest = engine.read(Name.SNAPSHOTS)[0][-1]
    with engine.running() as worker:
        assert shop.view()["model"]["version"] == json.loads(newest.value or b"")["version"]
        assert worker.stop() == 0
