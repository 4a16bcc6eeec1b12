"""The live shell around the folds, and the only importer of Faust.

Faust keeps the group, the assignment, the tables and their recovery; delivery and commits follow our own protocol,
since its own skips what fails (`partition.py` states it). Every override of Faust stands in a file of its own with
its reason.
"""
