"""A synthetic shop with known truth: demo data, load and closed-loop tests. `Shop(SimulatorOptions(...)).stream()`."""

from streams.simulator.delivery import Arrival
from streams.simulator.options import OptionError, SimulatorOptions
from streams.simulator.shop import Shop

__all__ = ["Arrival", "OptionError", "Shop", "SimulatorOptions"]
