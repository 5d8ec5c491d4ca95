"""Faults between a host and its target, drawn from a seed: see README.md."""
