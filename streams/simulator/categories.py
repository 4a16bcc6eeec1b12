"""The shop's category tree. Leaves of a department go together: who buys one often looks at the next."""

from __future__ import annotations

from typing import NamedTuple


class LeafName(NamedTuple):
    """`path` from the root, dots between levels; `noun` for titles and searches; `typical_minor` a usual price."""

    path: str
    noun: str
    typical_minor: int


DEPARTMENTS: tuple[tuple[LeafName, ...], ...] = (
    (
        LeafName("electronics.phone.smartphone", "smartphone", 39_900),
        LeafName("electronics.phone.case", "phone case", 1_900),
        LeafName("electronics.phone.charger", "charger", 2_400),
        LeafName("electronics.audio.headphone", "headphones", 8_900),
        LeafName("electronics.wearable.watch", "smart watch", 17_900),
    ),
    (
        LeafName("computers.notebook.ultrabook", "notebook", 89_900),
        LeafName("computers.peripherals.mouse", "mouse", 2_900),
        LeafName("computers.peripherals.keyboard", "keyboard", 5_900),
        LeafName("computers.display.monitor", "monitor", 22_900),
        LeafName("computers.storage.ssd", "solid state drive", 9_900),
    ),
    (
        LeafName("appliances.kitchen.mixer", "mixer", 6_900),
        LeafName("appliances.kitchen.kettle", "kettle", 3_500),
        LeafName("appliances.kitchen.refrigerator", "refrigerator", 59_900),
        LeafName("appliances.environment.vacuum", "vacuum cleaner", 15_900),
        LeafName("appliances.personal.iron", "iron", 4_500),
    ),
    (
        LeafName("furniture.living_room.sofa", "sofa", 69_900),
        LeafName("furniture.living_room.lamp", "lamp", 4_900),
        LeafName("furniture.bedroom.bed", "bed", 49_900),
        LeafName("furniture.bedroom.blanket", "blanket", 3_900),
    ),
    (
        LeafName("apparel.shirt", "shirt", 2_900),
        LeafName("apparel.jeans", "jeans", 5_900),
        LeafName("apparel.dress", "dress", 6_900),
        LeafName("apparel.shoes.sneakers", "sneakers", 8_900),
        LeafName("apparel.shoes.boots", "boots", 11_900),
        LeafName("apparel.accessories.belt", "belt", 2_500),
    ),
    (
        LeafName("beauty.face.cream", "face cream", 1_800),
        LeafName("beauty.face.lipstick", "lipstick", 1_200),
        LeafName("beauty.hair.shampoo", "shampoo", 900),
        LeafName("beauty.perfume", "perfume", 5_400),
    ),
    (
        LeafName("sport.bicycle", "bicycle", 54_900),
        LeafName("sport.bicycle_helmet", "bicycle helmet", 4_900),
        LeafName("sport.running.shirt", "running shirt", 2_900),
        LeafName("sport.yoga.mat", "yoga mat", 2_200),
    ),
    (
        LeafName("kids.toys.blocks", "building blocks", 3_900),
        LeafName("kids.toys.puzzle", "puzzle", 1_500),
        LeafName("kids.books", "picture book", 1_300),
        LeafName("kids.carriage", "carriage", 29_900),
    ),
)

BRAND_PARTS: tuple[tuple[str, ...], tuple[str, ...]] = (
    ("ar", "bel", "cor", "del", "fen", "gal", "hol", "kir", "lum", "mon", "nor", "tal", "ves", "zan"),
    ("dane", "wick", "mark", "lo", "vita", "ster", "ova"),
)
"""A brand's name is one part of each."""
