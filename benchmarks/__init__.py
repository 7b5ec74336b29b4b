"""Benchmarks with named cases: run ``python -m benchmarks``, or ``make bench``."""
