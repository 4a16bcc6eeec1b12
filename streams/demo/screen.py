"""The live view: one screen of 24 rows, and columns up to 100, that is read at a glance."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import shorten

from rich import box
from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streams.contracts.catalog import CatalogItem
from streams.contracts.headers import rfc3339
from streams.contracts.outputs import Conversion, Recommendations, RecommendedItem
from streams.demo.summary import Moment, delay
from streams.demo.tally import ModelSeen, Tally

WIDTH = 100
_SHOWN_ITEMS = 6
_TITLE = 40
_BAR = 16
_SHOWN_FOR_S = 3.0
"""A list and a prediction stay so long, so that they can be read."""

_REASONS = {
    "also_viewed": "also viewed with",
    "your_interest": "your interest in",
    "popular": "popular",
    "new": "new",
}
_LEARNS_FROM = {"conversion": "labels", "retrieval": "steps of visits"}


@dataclass
class Shown:
    """The outputs on display, changed every few seconds."""

    conversion: Conversion | None = None
    recommendations: Recommendations | None = None
    since_s: float = float("-inf")

    def renew(self, tally: Tally, now_s: float) -> None:
        if now_s - self.since_s < _SHOWN_FOR_S:
            return
        self.conversion, self.recommendations = tally.last_conversion, tally.last_recommendations
        if self.conversion is not None and self.recommendations is not None:
            self.since_s = now_s


class LiveView:
    """Draws on a terminal; see `live`."""

    every_s = 0.25

    def __init__(self, display: Live) -> None:
        self._display = display
        self._shown = Shown()

    def show(self, moment: Moment, tally: Tally, doing: str) -> None:
        self._shown.renew(tally, time.monotonic())
        self._display.update(screen(moment, tally, self._shown, doing), refresh=True)


@contextmanager
def live() -> Iterator[LiveView]:
    """A view on the whole terminal; its last picture stays when it ends."""
    console = Console(file=sys.stdout, highlight=False)
    display = Live(console=console, screen=True, auto_refresh=False)
    with display:
        yield LiveView(display)
    console.print(display.renderable)


def screen(moment: Moment, tally: Tally, shown: Shown, doing: str = "") -> RenderableType:
    """The whole picture, at most `WIDTH` wide, always 24 rows high; `doing` takes the place of the hint at its foot."""
    upper = Table.grid(expand=True)
    upper.add_column(ratio=7)
    upper.add_column(ratio=12)
    upper.add_row(_flow(moment, tally), _models(tally))
    picture = Table.grid(expand=True)
    for part in (
        _header(moment),
        upper,
        _recommendations(shown.recommendations, tally.titles),
        _conversion(shown.conversion, tally.titles),
        Text(f" {doing or 'Ctrl-C ends it and cleans up'}", style="dim"),
    ):
        picture.add_row(part)
    return Constrain(picture, WIDTH)


def _header(moment: Moment) -> RenderableType:
    row = Table.grid(expand=True)
    row.add_column()
    row.add_column(justify="center")
    row.add_column(justify="right")
    clock = rfc3339(moment.simulated_ms).decode()[:16].replace("T", " ")
    minutes, seconds = divmod(int(moment.running_s), 60)
    row.add_row(
        Text(" clickwake demo", style="bold cyan"),
        Text.assemble(
            ("in the shop ", "dim"),
            (clock, "bold"),
            (f"   day {moment.simulated_days:.1f}, {moment.days_rate:.1f} days a second", "dim"),
        ),
        Text(f"{minutes:02d}:{seconds:02d} ", style="dim"),
    )
    return row


def _flow(moment: Moment, tally: Tally) -> Panel:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(style="dim", width=15)
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    conversions, lists, delays = tally.conversions, tally.recommendations, tally.delays
    table.add_row("events", f"{moment.events:,}", f"{moment.events_rate:,.0f}/s")
    table.add_row("conversions", f"{conversions.total:,}", f"{moment.conversions_rate:,.0f}/s")
    table.add_row("recommendations", f"{lists.total:,}", f"{moment.recommendations_rate:,.0f}/s")
    table.add_row("rejected", f"{tally.rejected.total():,}", "")
    table.add_row("delay p50, p99", delay(delays.recent(0.5)), delay(delays.recent(0.99)))
    return _panel(table, "flow")


def _models(tally: Tally) -> Panel:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(style="dim", width=11)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for name, without in (("conversion", "the prior probability"), ("retrieval", "empty lists")):
        first, second = _model(name, tally.models.get(name), without)
        table.add_row(name, first)
        table.add_row("", second)
    codes = ", ".join(f"{count} {code.replace('_', ' ')}" for code, count in tally.rejected.most_common(3))
    table.add_row("rejected", codes or "none yet")
    return _panel(table, "models, which learn while they serve")


def _model(name: str, seen: ModelSeen | None, without: str) -> tuple[Text, Text]:
    if seen is None:
        return Text(f"none yet: {without}"), Text("")
    manifest, metrics = seen.manifest, seen.manifest.metrics
    first = Text.assemble(
        (f"version {seen.versions}", "bold"), f", from {manifest.examples:,} {_LEARNS_FROM.get(name, 'examples')}"
    )
    quality = []
    if "log_loss" in metrics:
        quality.append(f"log loss {metrics['log_loss']:.4f}")
    if "calibration_ratio" in metrics:
        quality.append(f"predicted / observed {metrics['calibration_ratio']:.2f}")
    if name == "conversion" and not quality:
        quality = ["a label is known after 7 days"]
    return first, Text(", ".join(quality) or manifest.version, style="" if quality else "dim")


def _recommendations(record: Recommendations | None, titles: dict[str, CatalogItem]) -> Panel:
    if record is None:
        return _panel(Text("none yet" + "\n" * _SHOWN_ITEMS), "recommendations")
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(justify="right", style="dim", width=2)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=10)
    table.add_column(justify="right", no_wrap=True, ratio=4)
    table.add_column(style="dim", no_wrap=True, overflow="ellipsis", ratio=14)
    for item in record.items[:_SHOWN_ITEMS]:
        table.add_row(str(item.rank), _title(item.item_id, titles), _price(item.item_id, titles), _why(item, titles))
    for _ in range(_SHOWN_ITEMS - len(record.items)):
        table.add_row("", "", "", "")
    rest = Counter(item.reason for item in record.items[_SHOWN_ITEMS:])
    words = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in rest.most_common())
    return _panel(
        Group(table, Text(f"    and {words}" if words else "", style="dim")),
        f"recommendations for {record.user_id}, visit {record.session}",
    )


def _why(item: RecommendedItem, titles: dict[str, CatalogItem]) -> str:
    """`also viewed with Lumvita smartphone 101`; an interest names a category."""
    words = _REASONS[item.reason]
    return f"{words} {_title(item.because, titles)}" if item.because and item.reason != "popular" else words


def _conversion(record: Conversion | None, titles: dict[str, CatalogItem]) -> Panel:
    if record is None:
        return _panel(Text("none yet\n\n\n"), "conversion")
    what = Text.assemble(
        (shorten(_title(record.item_id, titles), _TITLE, placeholder="…"), "bold"),
        "  is bought within ",
        f"{record.horizon_ms / 86_400_000:g} days with a probability of ",
        (f"{record.probability:.2%}", "bold green"),
        no_wrap=True,
        overflow="ellipsis",
    )
    table = Table.grid(padding=(0, 2))
    largest = max((abs(factor.log_odds) for factor in record.factors), default=1.0)
    for factor in record.factors[:3]:
        up = factor.log_odds >= 0
        bar = "█" * max(1, round(_BAR * abs(factor.log_odds) / largest))
        table.add_row(
            Text(factor.feature.replace("_", " ").replace("*", " and "), style="dim"),
            Text(f"{factor.log_odds:+.2f}", style="green" if up else "red"),
            Text(bar, style="green" if up else "red"),
        )
    if not record.factors:
        table.add_row(Text("the prior: no model has learned anything yet", style="dim"))
    for _ in range(3 - max(1, len(record.factors))):
        table.add_row("")
    return _panel(Group(what, table), f"conversion of {record.user_id}, by what raised or lowered the log-odds most")


def _panel(content: RenderableType, title: str) -> Panel:
    return Panel(content, title=f"[bold]{title}[/]", title_align="left", box=box.ROUNDED, border_style="cyan dim")


def _title(item_id: str, titles: dict[str, CatalogItem]) -> str:
    item = titles.get(item_id)
    return item.title if item is not None and item.title else item_id


def _price(item_id: str, titles: dict[str, CatalogItem]) -> str:
    item = titles.get(item_id)
    if item is None or item.price_minor is None:
        return ""
    return f"{item.price_minor / 100:,.2f} {item.currency or ''}".strip()
