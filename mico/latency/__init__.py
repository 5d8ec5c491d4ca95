"""Latency models: from measured layers to the cycles of any scheme. See README.md."""
