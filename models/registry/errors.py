"""What can be wrong with a stored model."""

from __future__ import annotations


class BrokenSnapshot(ValueError):
    """A stored model is not what it must be: damaged, incomplete, of another schema, or not finite. The message says
    which.

    The caller keeps the model that it has.
    """


class VersionTaken(ValueError):
    """Other content already has this version: versions never change."""
