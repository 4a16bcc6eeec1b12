"""One file for each output topic: a pure function from an event in its context to a record or none.

To add an output: a struct in `contracts`, a row in the table of topics, a file here, its name in DECISIONS, a golden
file.
"""

from streams.decisions import conversions, recommendations

DECISIONS = (conversions, recommendations)
