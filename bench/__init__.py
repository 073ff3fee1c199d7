"""Measures the gateway beside its peers in one run: `python -m bench`, results in docs/benchmarks.md."""
