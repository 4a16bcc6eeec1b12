"""One list from several retrievers: a mixture of their distributions, and one place for exploring new items."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from models.interfaces import Source


@dataclass(frozen=True)
class MixtureSettings:
    """Weights of the retrievers in the mixture. A linear mixture, because rank fusion lost in the trial.

    `interests`: strongest categories used, with `items_per_interest` items each. `explored`: newest items drawn from.
    """

    walk: float = 0.8
    interest: float = 0.15
    popularity: float = 0.05
    interests: int = 5
    items_per_interest: int = 20
    explored: int = 50


class Distribution(NamedTuple):
    """A retriever's answer: items strongest first, and the share of each, summing to at most 1."""

    items: Sequence[str]
    shares: Mapping[str, float]


NOTHING = Distribution((), {})


def offered(items: Iterable[str], taken: Collection[str], sellable: Callable[[str], bool], most: int) -> list[str]:
    """The first `most` of `items` that are neither in `taken` nor unsellable, each once."""
    found: dict[str, None] = {}
    if most > 0:
        for item in items:
            if item not in taken and sellable(item):
                found[item] = None
                if len(found) == most:
                    break
    return list(found)


class Mixture(NamedTuple):
    """The retrievers' distributions for one request, and how to weigh them."""

    walk: Distribution
    interest: Distribution
    popularity: Distribution
    weights: MixtureSettings

    def best(self, candidates: Iterable[str], k: int) -> list[tuple[str, float]]:
        """The first `k` of `candidates` (each once) by the weighted sum of their shares, ties by item id."""
        walk, interest, popularity, weights = self
        of_walk, of_interest, of_popularity = walk.shares.get, interest.shares.get, popularity.shares.get
        by_walk, by_interest, by_popularity = weights.walk, weights.interest, weights.popularity
        # Negated, so that a plain sort of pairs puts the highest score first and equals in the order of their ids.
        scored = [
            (-by_walk * of_walk(i, 0.0) - by_interest * of_interest(i, 0.0) - by_popularity * of_popularity(i, 0.0), i)
            for i in candidates
        ]
        scored.sort()
        return [(item, -negated) for negated, item in scored[:k]]

    def source(self, item: str) -> Source:
        """The retriever with the largest part of the sum: of equals the first of walk, interest, popularity."""
        walked = self.weights.walk * self.walk.shares.get(item, 0.0)
        wanted = self.weights.interest * self.interest.shares.get(item, 0.0)
        liked = self.weights.popularity * self.popularity.shares.get(item, 0.0)
        if walked > 0.0 and walked >= wanted and walked >= liked:
            return "walk"
        return "interest" if wanted > 0.0 and wanted >= liked else "popularity"


def draw(seed: int, n: int) -> int:
    """A place in `range(n)`, uniform over seeds, a function of the seed alone.

    SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014) scaled to n, so that neighbouring seeds give unrelated
    draws. Raises ValueError if n isn't positive.
    """
    if n < 1:
        raise ValueError(f"n is {n}: there is nothing to draw from")
    mask = (1 << 64) - 1
    z = (seed + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return ((z ^ (z >> 31)) * n) >> 64
