"""Clickwake: a shop's clickstream on Kafka in, predictions on Kafka out."""

__version__ = "0.1.0"
