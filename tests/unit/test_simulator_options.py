"""How the shop's options are written, and what is said of wrong ones."""

from __future__ import annotations

import pytest

from streams.simulator import OptionError, SimulatorOptions
from streams.simulator.draws import Quantiles, Weighted, shuffled, uniform


@pytest.mark.parametrize("text", ["", "simulator", "simulator:", "conversion", "simulator:conversion", "conversion?"])
def test_without_options_the_address_gives_the_default_shop(text: str) -> None:
    if text == "simulator":
        with pytest.raises(OptionError, match="unknown scenario 'simulator'"):
            SimulatorOptions.parse(text)
    else:
        assert SimulatorOptions.parse(text) == SimulatorOptions()


def test_an_address_sets_options() -> None:
    assert SimulatorOptions.parse("simulator:conversion?seed=7&base_rate=0.2&events=none&days=2.5") == SimulatorOptions(
        seed=7, base_rate=0.2, events=None, days=2.5
    )


def test_options_go_over_the_scenario_s() -> None:
    options = SimulatorOptions.parse("dirty?bots=0")
    assert (options.bots, options.bad) == (0, 0.01)
    assert SimulatorOptions.parse("clean").duplicates == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conversion?sead=7", "unknown option 'sead'.*there are: seed, events, days"),
        ("weekend", "unknown scenario 'weekend'.*conversion, clean, dirty"),
        ("conversion?seed=x", "seed=x: must be an integer"),
        ("conversion?seed=", "seed=: must be an integer"),
        ("conversion?base_rate=much", "base_rate=much: must be a number"),
        ("conversion?events=many", "events=many: must be an integer or none"),
        ("conversion?base_rate=0.9", "base_rate=0.9: must be from 0.0005 to 0.5"),
        ("conversion?base_rate=nan", "base_rate=nan: must be from"),
        ("conversion?users=1", "users=1: must be from 10"),
        ("conversion?users=none", "users=none: must be an integer"),
        ("conversion?late=-0.1", "late=-0.1: must be from 0 to 0.5"),
        ("conversion?seed=1&seed=2", "'seed' occurs twice"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_possible(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        SimulatorOptions.parse(text)


def test_quantiles_are_linear_between_their_points() -> None:
    q = Quantiles((0.0, 10), (0.5, 20), (1.0, 100))
    assert [q(0.0), q(0.25), q(0.5), q(0.75)] == [10, 15, 20, 60]
    assert q.mean() == 37.5


@pytest.mark.parametrize("points", [((0.1, 0), (1.0, 1)), ((0.0, 1), (1.0, 0)), ((0.0, 0), (0.5, 1))])
def test_points_that_are_no_distribution_are_refused(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="must rise"):
        Quantiles(*points)


def test_weights_decide_how_often_an_index_is_drawn() -> None:
    pick = Weighted((1, 3))
    assert [pick(k / 8) for k in range(8)] == [0, 0, 1, 1, 1, 1, 1, 1]


def test_draws_of_two_names_differ_and_those_of_one_name_repeat() -> None:
    assert uniform(1, "a")() == uniform(1, "a")() != uniform(1, "b")()
    assert sorted(shuffled(50, uniform(1, "a"))) == list(range(50)) != shuffled(50, uniform(1, "a"))
