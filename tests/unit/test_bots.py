"""Crawlers are recognised by what they say of themselves."""

from __future__ import annotations

import pytest

from streams.ingest import is_bot


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; bingbot/2.0)",
        "Mozilla/5.0 (compatible; YandexBot/3.0)",
        "Mozilla/5.0 (compatible; Baiduspider/2.0)",
        "Mozilla/5.0 (compatible; Yahoo! Slurp)",
        "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/120.0",
        "python-requests/2.31",
        "curl/8.4.0",
        "Wget/1.21",
        "Scrapy/2.11",
        "Apache-HttpClient/4.5.14",
        "UptimeMonitor",
        "CCBot/2.0",
    ],
)
def test_a_machine_that_says_so_is_one(agent: str) -> None:
    assert is_bot(agent)


@pytest.mark.parametrize(
    "agent",
    [
        None,
        "",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 Version/17.1 Mobile Safari/604.1",
        "Mozilla/5.0 (Linux; Android 8.1.0; CUBOT X18 Plus) AppleWebKit/537.36 Chrome/95.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; Android 12; CUBOT_P50)",
        "MyShop/3.2 (robotics fan edition)",
    ],
)
def test_all_others_are_people(agent: str | None) -> None:
    assert not is_bot(agent)
