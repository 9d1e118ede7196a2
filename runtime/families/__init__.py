"""Model families, found by the name in a bundle's manifest; see `runtime/take.py`."""
