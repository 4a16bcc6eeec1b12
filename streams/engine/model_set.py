"""The model versions that a score worker uses, and how a new one takes the place of an old one.

A manifest that ranks lower than the one in use is stale and ignored. Files are read and checked in a thread; what is
broken, of another schema or not finite is refused with its reason, and the old version stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from models.conversion.scorer import ConversionScorer
from models.registry.store import ModelStore
from streams.catalog import Catalog
from streams.contracts.outputs import ModelRef
from streams.contracts.snapshots import Manifest
from streams.decisions.context import Models
from streams.features.view import PRIOR_CONVERSION_RATE
from streams.serving import CONVERSION, CONVERSION_SPEC, RETRIEVAL, SERVED

_log = structlog.get_logger(__name__)
_decoder: msgspec.json.Decoder[Manifest] = msgspec.json.Decoder(Manifest)


class ModelSet:
    """Versions in use; `current` is what a batch takes.

    Args:
        on_use: told of (name, version, feature schema) taken into use.
        on_refuse: told of the model whose version was refused.
    """

    def __init__(
        self,
        store: ModelStore,
        catalog: Catalog,
        *,
        on_use: Callable[[str, str, str], None],
        on_refuse: Callable[[str], None],
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._on_use = on_use
        self._on_refuse = on_refuse
        self._serving: dict[str, Any] = {
            CONVERSION.name: ConversionScorer.from_prior(CONVERSION_SPEC, PRIOR_CONVERSION_RATE),
            RETRIEVAL.name: None,
        }
        self._manifests: dict[str, Manifest] = {}
        self._wanted: dict[str, Manifest] = {}
        self._loading: set[asyncio.Task[None]] = set()

    def current(self) -> Models:
        """The set for one batch."""
        return Models(
            conversion=self._serving[CONVERSION.name],
            conversion_ref=self._ref(CONVERSION.name),
            retrieval=self._serving[RETRIEVAL.name],
            retrieval_ref=self._ref(RETRIEVAL.name),
            sellable=self._catalog.sellable,
            newest_items=self._catalog.newest(),
            catalog_offset=self._catalog.offset,
        )

    def announce(self, key: bytes | None, value: bytes | None, next_offset: int) -> None:
        """A record of `models.snapshots.v1`: load it in the background if it is newer than what is wanted so far."""
        manifest = read_manifest(value)
        if manifest is None or manifest.name not in SERVED or (key or b"").decode(errors="replace") != manifest.name:
            _log.warning("snapshot announcement not understood", offset=next_offset - 1)
            return
        wanted = self._wanted.get(manifest.name)
        if wanted is not None and manifest.rank <= wanted.rank:
            return
        self._wanted[manifest.name] = manifest
        task = asyncio.get_running_loop().create_task(self._load(manifest))
        self._loading.add(task)
        task.add_done_callback(self._loading.discard)

    async def loaded(self) -> None:
        """Wait for what is being loaded."""
        while self._loading:
            await asyncio.wait(self._loading)

    async def _load(self, manifest: Manifest) -> None:
        used = self._manifests.get(manifest.name)
        if used is not None and (used.version, used.files) == (manifest.version, manifest.files):
            self._manifests[manifest.name] = manifest  # nothing was learned, only the marks moved on
            return
        try:
            serving = await asyncio.to_thread(self._read, manifest)
        except (ValueError, KeyError, OSError) as error:
            self._on_refuse(manifest.name)
            _log.error("snapshot refused", model=manifest.name, version=manifest.version, reason=str(error))
            return
        used = self._manifests.get(manifest.name)
        if used is not None and manifest.rank <= used.rank:
            return  # a newer one was quicker
        self._serving[manifest.name] = serving
        self._manifests[manifest.name] = manifest
        self._on_use(manifest.name, manifest.version, manifest.feature_schema)

    def _read(self, manifest: Manifest) -> Any:
        model = SERVED[manifest.name]
        if manifest.feature_schema != model.feature_schema:
            raise ValueError(f"feature schema {manifest.feature_schema}, this worker computes {model.feature_schema}")
        return model.load(self._store.read(manifest.name, manifest.version, manifest.files))

    def _ref(self, name: str) -> ModelRef:
        manifest = self._manifests.get(name)
        return ModelRef(name, "" if manifest is None else manifest.version)


def read_manifest(value: bytes | None) -> Manifest | None:
    """The manifest in a record, none if it is not one."""
    try:
        return _decoder.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
