"""Crawlers by what they say of themselves. Their events stay in the stream but teach nothing."""

from __future__ import annotations

import re
from functools import lru_cache

# Tokens that crawlers put into their names; "cubot" is a phone maker.
_BOT = re.compile(r"(?<!cu)bot\b|crawl|spider|slurp|headless|python-|curl/|wget/|scrapy|httpclient|monitor", re.I)


@lru_cache(maxsize=4096)
def is_bot(user_agent: str | None) -> bool:
    """True where the agent names itself a machine; an absent agent is taken for a person."""
    return user_agent is not None and _BOT.search(user_agent) is not None
