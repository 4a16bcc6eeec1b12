"""How good the predictions on the simulated shop are, against what is known of its truth.

The log is played through the production folds (`streams.replay.local`), each prediction made with the model version
then in use and what had arrived by then (prequential evaluation: Gama et al., "On evaluating stream learning
algorithms", 2013). Crawlers are left out, nothing else is.

    python -m tests.bench quality --seeds 1 2 3
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from models.evaluation.probability import auc, ece, log_loss, pcoc
from models.evaluation.ranking import Rank, hit_rate, mrr, rank_of
from models.interfaces import Candidate, RecommendRequest
from models.retrieval.recommender import RetrievalIndex
from streams.contracts.events import Event, Purchase, View
from streams.contracts.outputs import Conversion, Recommendations
from streams.contracts.topics import Name
from streams.decisions.context import Models
from streams.replay.local import EVERY_MS, Batch, replay
from streams.replay.sources.rows import SourceEvent
from streams.simulator import Shop, SimulatorOptions
from streams.simulator.truth import HORIZON_MS
from tests.bench import report

PLACES = 20
_LATEST_ARRIVAL_MS = 24 * 3_600_000
"""No event of the simulator arrives later than this after it happened."""

_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_conversion: msgspec.json.Decoder[Conversion] = msgspec.json.Decoder(Conversion)
_recommendations: msgspec.json.Decoder[Recommendations] = msgspec.json.Decoder(Recommendations)


class ConversionQuality(msgspec.Struct, frozen=True):
    """Predictions at the first view or cart of an item in a session, against whether it was bought within 7 days.

    Log losses in nats of three predictors on the same touches. `constant`: the observed rate of these very touches,
    the best constant in hindsight. `truth`: the probabilities that the simulator drew the purchases with, which no
    model beats but by chance. `gain_share`: (constant - model) / (constant - truth).
    """

    touches: int
    rate: float
    constant: float
    model: float
    truth: float
    gain_share: float
    auc: float | None
    truth_auc: float | None
    pcoc: float | None
    ece: float


class ListQuality(msgspec.Struct, frozen=True):
    """Of one recommender. `unseen_hit_rate`: over the cases whose next item was not excluded as known already.
    `coverage`: share of all items that were ever in the catalogue."""

    hit_rate: float
    mrr: float
    unseen_hit_rate: float
    coverage: float


class RecommendationQuality(msgspec.Struct, frozen=True):
    """Is the next other item that the visitor views in the session, in log order, among the 20 recommended?

    `popular`: the most popular items with the same exclusions, of the same version of the index, on the same cases.
    """

    cases: int
    unseen_cases: int
    recommended: ListQuality
    popular: ListQuality


class Quality(msgspec.Struct, frozen=True):
    """`conversion`: all touches after the first labels were learned; `last_quarter`: those in the last quarter of the
    events. `recommendations`: all views after the first index was made."""

    seed: int
    events: int
    days: float
    conversion: ConversionQuality
    last_quarter: ConversionQuality
    recommendations: RecommendationQuality


def measure(options: SimulatorOptions, *, every_nth_list: int = 1, every_ms: Mapping[str, int] = EVERY_MS) -> Quality:
    """Play the first `options.events` events of a shop and judge what was predicted.

    Args:
        options: of the shop.
        every_nth_list: recommend on one view of so many only, drawn by the output's id, to save time.
        every_ms: pace of the snapshots, see `replay`.
    """
    log = _read(options)
    lists = _Lists(log, every_nth_list)
    predictions: list[_Prediction] = []
    events = 0
    for batch in replay(log.rows, serve=lists.watch, every_ms=every_ms):
        predictions += _predictions(batch, log, events)
        lists.add(batch)
        events += len(batch.records)
    late = [prediction for prediction in predictions if prediction.place >= events * 3 // 4]
    return Quality(
        seed=options.seed,
        events=events,
        days=(log.rows[-1].ts_ms - log.rows[0].ts_ms) / 86_400_000,
        conversion=_conversion_quality(predictions),
        last_quarter=_conversion_quality(late),
        recommendations=lists.quality(),
    )


class _Log(NamedTuple):
    """`rows` to play, and what is known beside them, by event id. `touches` of people: true probability, and 1 if it
    was bought. `views` of people: the item. `items`: number of all items."""

    rows: list[SourceEvent]
    touches: dict[str, tuple[float, int]]
    views: dict[str, str]
    items: int


def _read(options: SimulatorOptions) -> _Log:
    """The rows up to the last event, and their labels from what comes after: the shop goes on until every touch is
    decided. Labels are made here anew, in plain event time, so that an error in the product's own labels shows."""
    assert options.events is not None
    shop = Shop(msgspec.structs.replace(options, events=None, days=None))
    encode = msgspec.json.Encoder().encode
    rows = [SourceEvent(0, i.item_id.encode(), encode(i), options.start_ms, "catalog") for i in shop.catalog()]
    items = {row.key for row in rows}
    views: dict[str, str] = {}
    truth: dict[str, float] = {}
    touched: dict[tuple[str, str], list[tuple[int, str]]] = {}
    purchases: list[Purchase] = []
    events = 0
    decided_ms = 0
    for number, arrival in enumerate(shop.stream()):
        if events == options.events and arrival.arrival_ms > decided_ms:
            break
        if arrival.kind == "catalog":
            items.add(arrival.key)
        if events < options.events:
            topic = "events" if arrival.kind == "event" else "catalog"
            rows.append(SourceEvent(number, arrival.key, arrival.value, arrival.arrival_ms, topic))
            events += arrival.kind == "event"
            decided_ms = arrival.arrival_ms + HORIZON_MS + _LATEST_ARRIVAL_MS
        if arrival.kind != "event" or arrival.planted is not None:
            continue
        event = _event.decode(arrival.value)
        if isinstance(event, Purchase):
            purchases.append(event)
        if isinstance(event, View) and arrival.touch_probability != 0.0:
            views[event.event_id] = event.item_id
        if arrival.touch_probability:
            truth[event.event_id] = arrival.touch_probability
            touched.setdefault((event.user_id, event.item_id), []).append((event.ts_ms, event.event_id))
    bought = {
        max(before)[1]
        for purchase in purchases
        if (
            before := [
                touch
                for touch in touched.get((purchase.user_id, purchase.item_id), ())
                if touch[0] <= purchase.ts_ms < touch[0] + HORIZON_MS
            ]
        )
    }
    touches = {event_id: (p, int(event_id in bought)) for event_id, p in truth.items()}
    return _Log(rows, touches, views, len(items))


class _Prediction(NamedTuple):
    """`place`: of its batch, in events."""

    place: int
    probability: float
    truth: float
    label: int


def _predictions(batch: Batch, log: _Log, place: int) -> list[_Prediction]:
    found = []
    for output in batch.effects.outputs:
        if output.topic is Name.CONVERSIONS:
            made = _conversion.decode(output.value)
            known = log.touches.get(made.cause.event_id)
            if known is not None and not made.degraded:
                found.append(_Prediction(place, made.probability, *known))
    return found


def _conversion_quality(predictions: Sequence[_Prediction]) -> ConversionQuality:
    p, truth, y = (np.array(column, dtype=np.float64) for column in list(zip(*predictions, strict=True))[1:])
    rate = float(y.mean())
    constant, model, known = log_loss(np.full(len(y), rate), y), log_loss(p, y), log_loss(truth, y)
    return ConversionQuality(
        touches=len(y),
        rate=rate,
        constant=constant,
        model=model,
        truth=known,
        gain_share=(constant - model) / (constant - known),
        auc=auc(p, y),
        truth_auc=auc(truth, y),
        pcoc=pcoc(p, y),
        ece=ece(p, y),
    )


class _Shown(NamedTuple):
    """A list and its rival, waiting for the visitor's next item."""

    session: int
    item: str
    recommended: list[str]
    popular: list[str]
    excluded: Collection[str]


class _Lists:
    """Judges lists by the views that follow."""

    def __init__(self, log: _Log, every_nth: int) -> None:
        self._log = log
        self._every_nth = every_nth
        self._asked: deque[tuple[list[str], Collection[str]] | None] = deque()
        self._waiting: dict[str, list[_Shown]] = {}
        self._ranks: tuple[list[Rank], list[Rank]] = ([], [])
        self._unseen: list[bool] = []
        self._shown: tuple[set[str], set[str]] = (set(), set())

    def watch(self, models: Models) -> Models:
        """The same models, with a witness of what the recommender is asked."""
        if not isinstance(models.retrieval, RetrievalIndex):
            return models
        return models._replace(retrieval=_Witness(models.retrieval, self._asked, self._every_nth))

    def add(self, batch: Batch) -> None:
        for output in batch.effects.outputs:
            if output.topic is Name.RECOMMENDATIONS:
                made = _recommendations.decode(output.value)
                asked = None if made.degraded else self._asked.popleft()
                item = self._log.views.get(made.cause.event_id)
                if item is not None:
                    self._viewed(made, item)
                    if asked is not None:
                        case = _Shown(made.session, item, [place.item_id for place in made.items], *asked)
                        self._waiting.setdefault(made.user_id, []).append(case)

    def _viewed(self, made: Recommendations, item: str) -> None:
        waiting = self._waiting.pop(made.user_id, [])
        for shown in waiting:
            if shown.session == made.session and shown.item == item:
                self._waiting.setdefault(made.user_id, []).append(shown)  # the same page again
            elif shown.session == made.session:
                self._unseen.append(item not in shown.excluded)
                for which, ranked in enumerate((shown.recommended, shown.popular)):
                    self._ranks[which].append(rank_of(item, ranked))
                    self._shown[which].update(ranked)

    def quality(self) -> RecommendationQuality:
        recommended, popular = (
            ListQuality(
                hit_rate=hit_rate(ranks, PLACES),
                mrr=mrr(ranks, PLACES),
                unseen_hit_rate=hit_rate([r for r, new in zip(ranks, self._unseen, strict=True) if new], PLACES),
                coverage=len(shown) / self._log.items,
            )
            for ranks, shown in zip(self._ranks, self._shown, strict=True)
        )
        return RecommendationQuality(len(self._unseen), sum(self._unseen), recommended, popular)


class _Witness:
    """A recommender that notes for each request what mere popularity would have answered; none where it is not asked
    itself."""

    def __init__(
        self, index: RetrievalIndex, asked: deque[tuple[list[str], Collection[str]] | None], every_nth: int
    ) -> None:
        self._index = index
        self._asked = asked
        self._every_nth = every_nth

    def recommend(self, request: RecommendRequest) -> list[Candidate]:
        if request.seed % self._every_nth:
            self._asked.append(None)
            return []
        popular = self._index.popular(request.k, request.exclude, request.sellable)
        self._asked.append(([candidate.item_id for candidate in popular], request.exclude))
        return self._index.recommend(request)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench quality", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--every-nth-list", type=int, default=1, help="recommend on one view of so many")
    parser.add_argument("--dry", action="store_true", help="print only, write no result file")
    given = parser.parse_args(arguments)
    measured = [
        measure(SimulatorOptions(seed=seed, events=given.events), every_nth_list=given.every_nth_list)
        for seed in given.seeds
    ]
    seeds = " ".join(map(str, given.seeds))
    command = f"python -m tests.bench quality --seeds {seeds} --events {given.events}"
    if given.every_nth_list > 1:
        command += f" --every-nth-list {given.every_nth_list}"
    report.finish("quality", command, given.seeds, measured, dry=given.dry)
