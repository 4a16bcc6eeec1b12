"""Attribution: the latest touch of the item within the horizon, only that one, and when a label is final."""

from __future__ import annotations

from streams.labels.touches import (
    ADD_TO_CART,
    HORIZON_MS,
    MAX_PENDING,
    TOUCH_TYPES,
    VIEW,
    Credit,
    Touch,
    add,
    credit,
    mature,
    next_due_ms,
)


def touch(at_ms: int, item: str = "i1", offset: int | None = None) -> Touch:
    return Touch(1, at_ms if offset is None else offset, item, VIEW, at_ms, b"")


def waiting(*touches: Touch) -> list[Touch]:
    pending: list[Touch] = []
    for one in touches:
        add(pending, one)
    return pending


def test_the_horizon_is_7_days_and_touches_have_names() -> None:
    assert HORIZON_MS == 7 * 86_400_000
    assert (TOUCH_TYPES[VIEW], TOUCH_TYPES[ADD_TO_CART]) == ("view", "add_to_cart")


def test_a_purchase_credits_the_latest_touch_of_its_item_and_only_that_one() -> None:
    pending = waiting(touch(1), touch(2), touch(3, "i2"))
    assert credit(pending, "i1", 10, 12) is Credit.CREDITED
    assert [one.delay_ms for one in pending] == [-1, 10, -1]


def test_latest_is_by_event_time_and_not_by_arrival() -> None:
    pending = waiting(touch(5, offset=1), touch(3, offset=2))
    credit(pending, "i1", 10, 10)
    assert [(one.touched_ms, one.delay_ms) for one in pending] == [(3, -1), (5, 5)]


def test_of_two_at_the_same_time_the_later_in_the_log_is_the_latest() -> None:
    pending = waiting(touch(5, offset=2), touch(5, offset=9), touch(7, "i2"), touch(5, offset=11))
    credit(pending, "i1", 10, 10)
    assert [one.offset for one in pending if one.delay_ms >= 0] == [11]


def test_a_second_purchase_on_the_same_touch_is_a_repeat_and_credits_no_older_one() -> None:
    pending = waiting(touch(1), touch(2))
    credit(pending, "i1", 10, 10)
    assert credit(pending, "i1", 20, 20) is Credit.REPEATED
    assert [one.delay_ms for one in pending] == [-1, 8]


def test_a_purchase_before_its_touch_or_after_the_horizon_is_not_attributed() -> None:
    pending = waiting(touch(100))
    assert credit(pending, "i1", 99, 200) is Credit.UNATTRIBUTED
    assert credit(pending, "i1", 100 + HORIZON_MS, 200) is Credit.UNATTRIBUTED
    assert credit(pending, "i2", 150, 200) is Credit.UNATTRIBUTED
    assert credit(pending, "i1", 100 + HORIZON_MS - 1, 200) is Credit.CREDITED


def test_a_late_purchase_goes_to_the_touch_before_it() -> None:
    pending = waiting(touch(1), touch(50))
    assert credit(pending, "i1", 20, 60) is Credit.CREDITED
    assert [one.delay_ms for one in pending] == [59, -1]


def test_the_delay_is_never_negative() -> None:
    pending = waiting(touch(50))
    credit(pending, "i1", 60, 40)
    assert pending[0].delay_ms == 0


def test_touches_wait_in_the_order_of_time_and_mature_when_the_watermark_reaches_their_due() -> None:
    pending = waiting(touch(30), touch(10), touch(20))
    assert next_due_ms(pending) == 10 + HORIZON_MS
    assert mature(pending, 10 + HORIZON_MS - 1) == []
    assert [one.touched_ms for one in mature(pending, 20 + HORIZON_MS)] == [10, 20]
    assert [one.touched_ms for one in pending] == [30]
    assert [one.touched_ms for one in mature(pending, 30 + HORIZON_MS)] == [30]
    assert next_due_ms(pending) is None
    assert mature(pending, 10**15) == []


def test_beyond_the_bound_the_oldest_is_cut() -> None:
    pending: list[Touch] = []
    cut = sum(add(pending, touch(at_ms)) for at_ms in range(MAX_PENDING + 3))
    assert cut == 3
    assert len(pending) == MAX_PENDING == 64
    assert pending[0].touched_ms == 3
    assert add(pending, touch(0)) == 1
    assert pending[0].touched_ms == 3, "the one that came late was the oldest"
