"""What can be wrong with a stored model."""

from __future__ import annotations


class BrokenSnapshot(ValueError):  # noqa: N818 - named for what happened
    """A stored model is not what it must be: damaged, incomplete, of another schema, or not finite. The message says
    which.

    The caller keeps the model that it has.
    """


class VersionTaken(ValueError):  # noqa: N818 - named for what happened
    """Other content already has this version: versions never change."""
