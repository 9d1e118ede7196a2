"""Text in frames: fonts that ship, scripts from either side, captions and the label."""
