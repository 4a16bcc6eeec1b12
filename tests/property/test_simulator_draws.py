"""The shop's promises hold for any seed and options."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.contracts.catalog import CatalogItem
from streams.contracts.events import UserEvent
from streams.simulator import Shop, SimulatorOptions
from streams.simulator.draws import Quantiles

share = st.sampled_from([0.0, 0.02, 0.5])
options = st.builds(
    SimulatorOptions,
    seed=st.integers(0, 2**40),
    events=st.integers(0, 400),
    users=st.integers(10, 60),
    items=st.integers(50, 90),
    base_rate=st.sampled_from([0.0005, 0.03, 0.5]),
    duplicates=share,
    late=share,
    bots=share,
)


@settings(max_examples=25, deadline=None)
@given(options=options)
def test_arrivals_are_ordered_valid_and_as_many_as_asked_for(options: SimulatorOptions) -> None:
    decode_event, decode_item = msgspec.json.Decoder(UserEvent).decode, msgspec.json.Decoder(CatalogItem).decode
    last_ms = events = 0
    for arrival in Shop(options, intercept=-4.0).stream():
        assert arrival.arrival_ms >= last_ms
        last_ms = arrival.arrival_ms
        if arrival.kind == "catalog":
            assert decode_item(arrival.value).item_id.encode() == arrival.key
            continue
        events += 1
        event = decode_event(arrival.value)
        assert event.user_id.encode() == arrival.key
        assert event.ts_ms <= arrival.arrival_ms
        assert arrival.touch_probability is None or 0 <= arrival.touch_probability < 1
    assert events == options.events


@given(
    values=st.lists(st.integers(0, 10**9), min_size=2, max_size=8),
    u=st.floats(0, 1, exclude_max=True),
    v=st.floats(0, 1, exclude_max=True),
)
def test_a_quantile_function_rises_and_stays_between_its_ends(values: list[int], u: float, v: float) -> None:
    values.sort()
    q = Quantiles(*((k / (len(values) - 1), value) for k, value in enumerate(values)))
    low, high = sorted((u, v))
    slack = 1e-6 * (1 + values[-1])
    assert values[0] <= q(low) <= q(high) + slack
    assert q(high) <= values[-1] + slack
