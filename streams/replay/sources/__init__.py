"""Readers of event sources: files of several formats and the synthetic shop, row by row, as records of the contract."""

from streams.replay.sources.formats import FORMATS, Opener, open_source
from streams.replay.sources.rows import Row, Source, SourceError, SourceEvent, SourceFault, Topic

__all__ = ["FORMATS", "Opener", "Row", "Source", "SourceError", "SourceEvent", "SourceFault", "Topic", "open_source"]
