"""Replay of historical logs through the core: sources, virtual clock, backtest, report."""
