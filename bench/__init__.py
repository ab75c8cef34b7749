"""Benchmarks: what `docs/benchmarks.md` promises as fast or small, measured on real droplets."""
