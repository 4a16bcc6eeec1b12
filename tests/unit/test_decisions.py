"""Every decision in DECISIONS goes through the same checks; then what each of them decides."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from models.interfaces import Candidate, RecommendRequest
from streams.contracts.events import AddToCart, Favorite, Purchase, Refund, RemoveFromCart, View
from streams.contracts.identity import Cause, Source
from streams.contracts.topics import BY_NAME, Name
from streams.decisions import DECISIONS, conversions, recommendations
from streams.decisions.context import Context, Models
from streams.features.profile import Profile, fold
from streams.features.view import touch_vector, view
from streams.testing import echo_models
from streams.testing.strategies import START_MS

SOURCE = Source(Name.EVENTS, 1, 2)


class Listening:
    """A retriever that keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[RecommendRequest] = []

    def recommend(self, request: RecommendRequest) -> list[Candidate]:
        self.asked.append(request)
        return [Candidate("x", 0.123456789, "walk", "also_viewed", "i1", 1.0)]


def context(*events: Any, models: Models | None = None) -> Context:
    """The context of the last event, after all of them."""
    profile = Profile()
    for offset, event in enumerate(events):
        step = fold(profile, event, offset)
    event, offset = events[-1], len(events) - 1
    is_touch = isinstance(event, View | AddToCart)
    vector = touch_vector(view(profile, profile.last_ms), profile, event) if is_touch else ()
    cause = Cause(SOURCE.topic, SOURCE.epoch, SOURCE.partition, offset, event.event_id)
    touch_id = "" if step.late else SOURCE.output_id(offset, "touch")
    return Context(SOURCE, offset, cause, event, step, profile, vector, touch_id, models or echo_models())


def on(kind: type[Any], item: str = "i1", at_ms: int = 0, **fields: Any) -> Any:
    return kind(event_id=f"e{at_ms}", user_id="ann", ts_ms=START_MS + at_ms, item_id=item, **fields)


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda decision: decision.KIND)
class TestEveryDecision:
    def test_gives_a_record_of_its_topic(self, decision: Any) -> None:
        output = decision.decide(context(on(View)))
        assert type(output) is BY_NAME[decision.TOPIC].record
        assert msgspec.json.decode(msgspec.json.encode(output), type=type(output)) == output

    def test_names_itself_its_cause_and_its_model(self, decision: Any) -> None:
        given = context(on(View, at_ms=1), on(View, at_ms=2))
        output = decision.decide(given)
        assert output.id == f"clickstream.events.v1:1:2:1:{decision.KIND}:0"
        assert (output.seq.offset, output.seq.index) == (1, 0)
        assert (output.cause, output.user_id, output.session) == (given.cause, "ann", 1)
        assert output.ts_ms == START_MS + 2
        assert output.model.version
        assert not output.degraded
        assert output.arm == "default"

    def test_is_a_function_of_its_context_and_changes_nothing(self, decision: Any) -> None:
        given = context(on(View), on(View, "i2", 5))
        before = msgspec.msgpack.encode(given.profile)
        assert decision.decide(given) == decision.decide(given)
        assert msgspec.msgpack.encode(given.profile) == before

    @pytest.mark.parametrize("kind", [Purchase, Refund, Favorite, RemoveFromCart])
    def test_says_nothing_about_events_that_are_no_touch(self, decision: Any, kind: type[Any]) -> None:
        assert decision.decide(context(on(kind))) is None

    def test_says_when_its_model_is_missing(self, decision: Any) -> None:
        models = echo_models()
        refs = {
            name: msgspec.structs.replace(getattr(models, name), version="")
            for name in ("conversion_ref", "retrieval_ref")
        }
        assert decision.decide(context(on(View), models=models._replace(**refs))).degraded


def test_kinds_are_different() -> None:
    assert len({decision.KIND for decision in DECISIONS}) == len(DECISIONS)


def test_a_probability_has_6_digits_and_3_factors_of_4() -> None:
    output = conversions.decide(context(on(AddToCart)))
    assert output is not None
    assert output.probability == round(output.probability, 6)
    assert len(output.factors) == 3
    assert output.horizon_ms == 7 * 86_400_000


def test_a_cart_gets_no_list() -> None:
    assert recommendations.decide(context(on(AddToCart))) is None


def asked(*events: Any) -> RecommendRequest:
    retriever = Listening()
    output = recommendations.decide(context(*events, models=echo_models()._replace(retrieval=retriever)))
    assert output is not None
    assert [(item.item_id, item.rank, item.score) for item in output.items] == [("x", 1, 0.123457)]
    return retriever.asked[0]


def test_the_list_is_asked_for_with_session_interests_and_what_was_seen() -> None:
    day_ms = 86_400_000
    request = asked(
        on(View, "old", category="a"), on(View, "i1", day_ms, category="a"), on(View, "i2", day_ms + 1, category="b")
    )
    assert list(request.session) == ["i1", "i2"]
    assert set(request.exclude) == {"old", "i1", "i2"}
    assert [category for category, _ in request.interests] == ["a", "b"]
    assert (request.k, request.personal) == (20, True)


def test_who_refuses_is_asked_for_with_the_session_alone() -> None:
    request = asked(on(View, "old", category="a"), on(View, "i1", 86_400_000, consent=False))
    assert list(request.session) == ["i1"]
    assert set(request.exclude) == {"i1"}
    assert list(request.interests) == []
    assert not request.personal


def test_a_late_view_stands_for_itself() -> None:
    request = asked(on(View, "now"), on(View, "late", -3_600_000))
    assert list(request.session) == ["late"]
    assert {"now", "late"} <= set(request.exclude)


def test_the_place_of_chance_is_drawn_by_the_id() -> None:
    assert asked(on(View)).seed == asked(on(View)).seed
    assert asked(on(View)).seed != asked(on(View), on(View, at_ms=1)).seed


def test_without_a_retriever_the_list_is_empty() -> None:
    output = recommendations.decide(context(on(View), models=echo_models()._replace(retrieval=None)))
    assert output is not None
    assert output.items == ()
