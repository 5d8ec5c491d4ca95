"""Byte streams to a target: port, frames, flashing, console. See README.md."""
