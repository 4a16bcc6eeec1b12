"""Models whose answers show what they were given: if anything that reaches a model differs, so does the output."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from models.interfaces import Candidate, RecommendRequest
from streams.contracts.outputs import ModelRef
from streams.decisions.context import Models


class FingerprintScorer:
    """The probability is a checksum of the vector."""

    def predict_explained(self, values: Sequence[int | str | None], top: int) -> tuple[float, list[tuple[str, float]]]:
        checksum = crc32(repr(tuple(values)).encode())
        return (checksum + 1) / (2**32 + 2), [(f"factor_{n}", float(checksum % (n + 2))) for n in range(top)]


class EchoRetriever:
    """Recommends the session's items as `after-...`, the last of them first, and one more item named by a checksum of
    the whole request."""

    def recommend(self, request: RecommendRequest) -> list[Candidate]:
        told = (list(request.session), sorted(request.exclude), list(request.interests), list(request.new_items))
        checksum = crc32(repr((*told, request.seed, request.k, request.personal)).encode())
        walked = [
            Candidate(f"after-{item}", 1.0 / place, "walk", "also_viewed", item, 1.0)
            for place, item in enumerate(reversed(request.session), start=1)
        ]
        return [*walked[: request.k - 1], Candidate(f"told-{checksum:08x}", 0.0, "popularity", "popular", "", 1.0)]


def echo_models() -> Models:
    """A fixed model set of the two, with a catalogue in which everything may be sold."""
    return Models(
        conversion=FingerprintScorer(),
        conversion_ref=ModelRef("conversion", "fingerprint"),
        retrieval=EchoRetriever(),
        retrieval_ref=ModelRef("retrieval", "echo"),
        sellable=lambda _: True,
        newest_items=(),
        catalog_offset=0,
    )
