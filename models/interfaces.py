"""What a stream needs of a model: small protocols and the values that pass through them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Literal, NamedTuple, Protocol

Source = Literal["walk", "interest", "popularity", "exploration"]
Reason = Literal["also_viewed", "your_interest", "popular", "new"]


class ConversionScorer(Protocol):
    """An immutable version of a conversion model."""

    def predict_explained(self, values: Sequence[int | str | None], top: int) -> tuple[float, list[tuple[str, float]]]:
        """Probability in (0, 1), and the `top` features that moved its log-odds most, largest first."""


class RecommendRequest(NamedTuple):
    """A visitor at a moment.

    `session`: items of this session, oldest first. `exclude`: items never to show. `interests`: categories with their
    shares, strongest first. `sellable`: may this item be shown. `new_items`: newest first. `seed`: of the exploration
    place, so that a replay draws the same. `personal`: false where consent is refused: only session and popularity.
    """

    session: Sequence[str]
    exclude: Collection[str]
    interests: Sequence[tuple[str, float]]
    sellable: Callable[[str], bool]
    new_items: Sequence[str]
    seed: int
    k: int = 20
    personal: bool = True


class Candidate(NamedTuple):
    """One place of a list.

    `score` never rises along the list and means nothing across lists; 0 for new items. `source` gave the largest part
    of it. `because`: the session's item or the category behind it, "" for popular and new ones. `propensity`:
    probability that this policy puts this item at this place, in (0, 1]; 1 where nothing is drawn.
    """

    item_id: str
    score: float
    source: Source
    reason: Reason
    because: str
    propensity: float


class Retriever(Protocol):
    """An immutable version of a recommender."""

    def recommend(self, request: RecommendRequest) -> list[Candidate]:
        """At most `k` items, best first, without repeats, excluded or unsellable ones."""
