"""Measurements of graphrep against its peers: equality first, then time and memory (see benchmarks/README.md)."""
