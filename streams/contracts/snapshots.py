"""Records of `models.snapshots.v1`: compacted, keyed by model name; the newest manifest of each model.

The files of a version lie in the model store; the manifest says what they must be. A worker refuses a version
whose files, schema or numbers are not as stated and keeps the one it has.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from streams.contracts.bounds import Count, Offset, TimeMs
from streams.contracts.identity import Seq


class ModelFile(Struct, frozen=True, kw_only=True, gc=False):
    name: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,64}\.(safetensors|json)$")]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    size: Count


class LearnedUpTo(Struct, frozen=True, kw_only=True, gc=False):
    """Where the learner stands in one partition of the examples.

    The next offset to read, and the largest (`epoch`, `seq`) learned; no `seq` before the first.
    """

    partition: Count
    next_offset: Offset
    seq: Seq | None
    epoch: Count = 1


class Manifest(Struct, frozen=True, kw_only=True):
    """One version of one model.

    `learner_epoch` and `learned` order versions: a manifest with lower marks is stale and ignored.
    `feature_schema` must be the worker's own. `trained_ms`: watermark of the newest example learned.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    version: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9._-]{1,64}$")]
    learner_epoch: Count
    learned: tuple[LearnedUpTo, ...]
    feature_schema: str
    trained_ms: TimeMs
    examples: Count
    files: tuple[ModelFile, ...]
    metrics: dict[str, float]
    software: dict[str, str]

    @property
    def rank(self) -> tuple[int, int]:
        """Newer versions of one learner rank higher."""
        return self.learner_epoch, sum(mark.next_offset for mark in self.learned)
