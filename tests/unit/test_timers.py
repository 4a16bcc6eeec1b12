"""Event-time timers: one a user, at his earliest."""

from __future__ import annotations

from streams.labels.timers import Timers


def test_keys_come_when_due_and_once() -> None:
    timers = Timers()
    timers.set(b"a", 10)
    timers.set(b"b", 20)
    assert list(timers.due(9)) == []
    assert list(timers.due(10)) == [b"a"]
    assert list(timers.due(30)) == [b"b"]
    assert list(timers.due(99)) == []
    assert len(timers) == 0


def test_they_come_by_time_and_then_by_key() -> None:
    timers = Timers()
    for key, due_ms in ((b"c", 5), (b"b", 7), (b"a", 7), (b"d", 1)):
        timers.set(key, due_ms)
    assert list(timers.due(7)) == [b"d", b"c", b"a", b"b"]


def test_the_earliest_of_a_key_counts() -> None:
    timers = Timers()
    timers.set(b"a", 10)
    timers.set(b"a", 20)
    timers.set(b"a", 5)
    assert len(timers) == 1
    assert list(timers.due(7)) == [b"a"]
    assert list(timers.due(30)) == []


def test_a_key_may_be_set_anew_while_they_are_taken_out() -> None:
    timers = Timers()
    timers.set(b"a", 1)
    timers.set(b"b", 2)
    taken = []
    for key in timers.due(10):
        taken.append(key)
        if len(taken) == 1:
            timers.set(b"a", 5)
            timers.set(b"c", 11)
    assert taken == [b"a", b"b", b"a"]
    assert list(timers.due(11)) == [b"c"]
