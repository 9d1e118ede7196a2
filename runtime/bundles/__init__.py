"""Bundles that ship with Reverie; see `runtime/bundle.py`."""
