"""Programs for targets from an IntegerModel: C for the core (``c/``), and buffer planning shared by all generators."""
