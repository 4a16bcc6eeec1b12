"""Real logs are read whole: the counts that are known of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from streams.contracts.events import UserEvent
from streams.replay.sources import SourceEvent, SourceFault, open_source

DATA = Path(__file__).parents[2] / "../shared/data"
pytestmark = pytest.mark.data


def read(source: str, path: str) -> tuple[Counter[str], list[SourceFault], set[str]]:
    file = DATA / path
    if not file.exists():
        pytest.skip(f"needs ../shared/data/{path}")
    decode = msgspec.json.Decoder(UserEvent).decode
    types: Counter[str] = Counter()
    faults: list[SourceFault] = []
    ids: set[str] = set()
    for row in open_source(f"{source}:{file}"):
        if isinstance(row, SourceEvent):
            event = decode(row.value)
            types[type(event).__name__] += 1
            ids.add(event.event_id)
        else:
            faults.append(row)
    return types, faults, ids


def test_rees46_first_hours_are_17434_events_and_the_cut_last_row() -> None:
    types, faults, ids = read("rees46", "rees46/2019-10-01_first_hours.csv.gz")
    assert types == {"View": 17_055, "AddToCart": 165, "Purchase": 214}
    assert faults == [SourceFault(17_436, "8 columns where the header has 9")]
    assert len(ids) == 17_434  # the five rows that occur twice are ten events


def test_taobao_users_are_52088_events() -> None:
    types, faults, ids = read("taobao", "taobao/users_first_six_days.csv.gz")
    assert types == {"View": 46_787, "AddToCart": 2_722, "Favorite": 1_441, "Purchase": 1_138}
    assert faults == []
    assert len(ids) == types.total() == 52_088
