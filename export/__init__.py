"""PyTorch to bundles; the only rooms that know PyTorch."""
