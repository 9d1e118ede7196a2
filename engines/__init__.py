"""Networks made ready for a device. Knows graphs and tensors, never models or photos."""
