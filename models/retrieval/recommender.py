"""The retrievers together: one learner, and one immutable index that answers requests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from typing import Any

from numpy.typing import NDArray

from models.interfaces import Candidate, RecommendRequest
from models.retrieval.covisitation import CoVisitation, GraphSettings
from models.retrieval.fusion import NOTHING, Distribution, Mixture, MixtureSettings, draw, offered
from models.retrieval.popularity import Popularity, PopularityIndex, PopularitySettings
from models.retrieval.tensors import Tensors, with_prefix, without_prefix
from models.retrieval.walk import WalkIndex, WalkSettings


class RetrievalLearner:
    """The co-visitation graph and popularity, learned from the same steps."""

    def __init__(self, graph: GraphSettings | None = None, popularity: PopularitySettings | None = None) -> None:
        self.graph = CoVisitation(graph)
        self.popularity = Popularity(popularity)

    def learn(self, prefix: Sequence[str], item: str, category: str | None, at_ms: int) -> None:
        """After `prefix` (this session's items, oldest first; empty at its start) came `item` of `category`."""
        self.graph.learn(prefix, item, at_ms)
        self.popularity.learn(item, category, at_ms)

    def to_tensors(self) -> Tensors:
        """Those of `CoVisitation` under `graph.` and of `Popularity` under `popularity.`."""
        return with_prefix("graph", self.graph.to_tensors()) | with_prefix("popularity", self.popularity.to_tensors())

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, NDArray[Any]],
        graph: GraphSettings | None = None,
        popularity: PopularitySettings | None = None,
    ) -> RetrievalLearner:
        """The learner back, to the bit. Raises ValueError, naming the tensor, if they are damaged or don't fit."""
        learner = cls(graph, popularity)
        learner.graph = CoVisitation.from_tensors(without_prefix("graph", tensors), graph)
        learner.popularity = Popularity.from_tensors(without_prefix("popularity", tensors), popularity)
        return learner

    def index(self, walk: WalkSettings | None = None, weights: MixtureSettings | None = None) -> RetrievalIndex:
        """What was learned until now, for serving. It doesn't change when the learner goes on."""
        return RetrievalIndex.from_tensors(self.to_tensors(), walk, weights)


class RetrievalIndex:
    """Immutable. Answers depend on the index and the request alone."""

    def __init__(self, walk: WalkIndex, popularity: PopularityIndex, weights: MixtureSettings | None = None) -> None:
        self.walk = walk
        self.popularity = popularity
        self.weights = weights or MixtureSettings()

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, NDArray[Any]],
        walk: WalkSettings | None = None,
        weights: MixtureSettings | None = None,
    ) -> RetrievalIndex:
        """From the tensors of `RetrievalLearner`. Raises ValueError, naming the tensor, if they are damaged."""
        return cls(
            WalkIndex.from_tensors(without_prefix("graph", tensors), walk),
            PopularityIndex.from_tensors(without_prefix("popularity", tensors)),
            weights,
        )

    def recommend(self, request: RecommendRequest) -> list[Candidate]:
        """At most `request.k` items, best first: each once, sellable, none excluded.

        Places 1 to k - 1: the mixture of walk, interests and popularity; where those run out, the newest items. Place
        k, where k is 2 or more: an item drawn from the newest sellable ones not in the list, if there are any. Fewer
        than k only where nothing else is known. Raises ValueError if k isn't positive.
        """
        _check(request.k)
        excluded = _as_set(request.exclude)
        interests = self._used(request.interests) if request.personal else []
        mixture = Mixture(self._walk(request.session), self._interest(interests), self.popularity.overall, self.weights)
        k, sellable = request.k, request.sellable
        # Twice k from the walk, because an item in the middle of it may be lifted by the others.
        candidates = dict.fromkeys(offered(mixture.walk.items, excluded, sellable, 2 * k))
        candidates |= dict.fromkeys(offered(mixture.interest.items, excluded, sellable, k))
        candidates |= dict.fromkeys(offered(mixture.popularity.items, excluded, sellable, k))
        chosen = self._explained(mixture.best(candidates, k), mixture, request.session, interests)
        return self._with_new(chosen, request, excluded)

    def popular(self, k: int, exclude: Collection[str], sellable: Callable[[str], bool]) -> list[Candidate]:
        """The `k` most popular sellable items not excluded: the baseline. Raises ValueError if k isn't positive."""
        _check(k)
        overall = self.popularity.overall
        return [
            Candidate(item, overall.shares[item], "popularity", "popular", "", 1.0)
            for item in offered(overall.items, _as_set(exclude), sellable, k)
        ]

    def _walk(self, session: Sequence[str]) -> Distribution:
        nodes, scores = self.walk.ranked(session)
        if not len(nodes):
            return NOTHING
        items = list(map(self.walk.items.__getitem__, nodes.tolist()))
        return Distribution(items, dict(zip(items, (scores / scores.sum()).tolist(), strict=True)))

    def _used(self, interests: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
        """The first interests with a positive weight, their weights summing to 1."""
        used = [(category, weight) for category, weight in interests if weight > 0.0][: self.weights.interests]
        total = sum(weight for _, weight in used)
        return [(category, weight / total) for category, weight in used]

    def _interest(self, interests: Sequence[tuple[str, float]]) -> Distribution:
        """Popular items of the categories, by the categories' weights."""
        shares: dict[str, float] = {}
        for category, weight in interests:
            items, of_category = self.popularity.category(category)
            for item in items[: self.weights.items_per_interest]:
                shares[item] = shares.get(item, 0.0) + of_category[item] * weight
        return Distribution(sorted(shares, key=shares.__getitem__, reverse=True), shares)

    def _explained(
        self,
        best: Sequence[tuple[str, float]],
        mixture: Mixture,
        session: Sequence[str],
        interests: Sequence[tuple[str, float]],
    ) -> list[Candidate]:
        sources = [mixture.source(item) for item, _ in best]
        walked = [item for (item, _), source in zip(best, sources, strict=True) if source == "walk"]
        behind = dict(zip(walked, self.walk.because(session, walked), strict=True))
        chosen = []
        for (item, score), source in zip(best, sources, strict=True):
            if source == "walk":
                chosen.append(Candidate(item, score, source, "also_viewed", behind[item], 1.0))
            elif source == "interest":
                chosen.append(Candidate(item, score, source, "your_interest", self._category(item, interests), 1.0))
            else:
                chosen.append(Candidate(item, score, source, "popular", "", 1.0))
        return chosen

    def _category(self, item: str, interests: Sequence[tuple[str, float]]) -> str:
        """The interest that adds most to `item`, of equals the first."""
        return max(interests, key=lambda entry: entry[1] * self.popularity.category(entry[0]).shares.get(item, 0.0))[0]

    def _with_new(self, chosen: list[Candidate], request: RecommendRequest, excluded: Set[str]) -> list[Candidate]:
        """`chosen` (at most k), filled up with the newest items, and one drawn at place k."""
        places = request.k - 1 if request.k > 1 else 1
        firm = chosen[:places]
        taken = excluded | {candidate.item_id for candidate in firm}
        missing = places - len(firm)
        newest = offered(request.new_items, taken, request.sellable, missing + self.weights.explored)
        firm += [Candidate(item, 0.0, "exploration", "new", "", 1.0) for item in newest[:missing]]
        pool = newest[missing:]
        if request.k == 1:
            return firm
        if not pool:
            return firm + chosen[places : request.k]
        item = pool[draw(request.seed, len(pool))]
        return [*firm, Candidate(item, 0.0, "exploration", "new", "", 1.0 / len(pool))]


def _as_set(items: Collection[str]) -> Set[str]:
    return items if isinstance(items, (set, frozenset)) else frozenset(items)


def _check(k: int) -> None:
    if k < 1:
        raise ValueError(f"k is {k}: give at least 1")
