"""Tests of ``benchmarks/live.py``, which asks a service what nobody here knows of it."""
