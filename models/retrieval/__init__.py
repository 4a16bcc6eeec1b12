"""Which items a visitor may want next: a walk on the co-visitation graph, interests, popularity, new items."""
