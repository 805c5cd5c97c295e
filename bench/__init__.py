"""Benchmarks, and tools that run them on real metadata."""
