"""User features: one definition, in event time, for live and replay."""
