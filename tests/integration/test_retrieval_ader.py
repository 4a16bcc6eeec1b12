"""The walk under the protocol of ADER (Mi, Lin and Faltings, RecSys 2020) on Diginetica: learn through period t, rank
every next item of period t + 1 among all items seen so far."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from models.evaluation.ranking import Rank, hit_rate, mrr, rank_of
from models.retrieval.covisitation import DAY_MS, CoVisitation, GraphSettings
from models.retrieval.walk import WalkIndex

pytestmark = pytest.mark.data

PERIODS = 5
SAMPLED = 0.2
REPEAT_BOOST = 15.0  # here an item may be the next one again; the trial's value for Diginetica
TRIAL = GraphSettings(half_life_ms=46 * DAY_MS)  # weights times 0.9 per week
TOP = 20


def sessions(folder: Path, period: int) -> list[list[str]]:
    found: dict[str, list[str]] = {}
    with gzip.open(folder / f"period_{period:02}.txt.gz", "rt") as lines:
        for line in lines:
            session, item = line.split()
            found.setdefault(session, []).append(item)
    return list(found.values())


def ranks(walk: WalkIndex, session: list[str]) -> list[Rank]:
    """Rank of each item of the session after its first, given those before it."""
    found = []
    for place in range(1, len(session)):
        nodes, _ = walk.ranked(session[:place], REPEAT_BOOST)
        found.append(rank_of(session[place], [walk.items[node] for node in nodes[:TOP].tolist()]))
    return found


def test_the_walk_reaches_the_trials_recall_on_diginetica(shared_data: Path) -> None:
    folder = shared_data / "ader" / "diginetica_weekly"
    if not folder.is_dir():
        pytest.skip(f"needs {folder.relative_to(shared_data.parent)}")
    sample = random.Random(20)
    graph = CoVisitation(TRIAL)
    seen: set[str] = set()
    recalls, reciprocals = [], []
    for period in range(PERIODS):
        current = sessions(folder, period)
        if period:
            walk = WalkIndex.from_tensors(graph.to_tensors())
            tested = [known for s in current if len(known := [item for item in s if item in seen]) > 1]
            found = [rank for s in tested if sample.random() < SAMPLED for rank in ranks(walk, s)]
            recalls.append(hit_rate(found, TOP))
            reciprocals.append(mrr(found, TOP))
        for session in current:
            for place, item in enumerate(session):
                graph.learn(session[max(0, place - 20) : place], item, period * 7 * DAY_MS)
            seen.update(session)
    recall, reciprocal = (100 * sum(values) / len(values) for values in (recalls, reciprocals))
    print(f"Diginetica, updates 1 to {PERIODS - 1}: Recall@20 {recall:.2f}, MRR@20 {reciprocal:.2f}")
    # The trial: 53.6 and 19.8 over all updates for rows of 20 and 10 nodes; ADER published 50.21 and 17.32.
    assert recall >= 52.0
    assert reciprocal >= 18.5
