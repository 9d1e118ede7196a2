"""Old, small and soft photos made fit to be filmed: blocks, scratches, dust, size."""
