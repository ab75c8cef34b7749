"""The CrossGuard policy pack: judges what the engine is about to make. `docs/policies.md` lists its rules.

`basecommerce` is the executable that the engine starts; `analyzer.py` implements its protocol; `pack.py` has the table
of checks. Facts of the stack come from `topology`, the only room that this one imports.
"""
