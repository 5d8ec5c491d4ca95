"""Searchers over schemes: ask for one, tell what it scored. See README.md."""
