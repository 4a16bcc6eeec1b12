"""Measures of predictions against what happened."""
