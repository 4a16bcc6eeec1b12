"""How likely a touch ends in a purchase: hashed features, a logistic model that learns one example at a time, a fast
scorer.

The serving side imports `encoding`, `layout` and `scorer` only; River is loaded by `model` and `codec`, on the learning
side.
"""
