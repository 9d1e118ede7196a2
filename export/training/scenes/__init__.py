"""Procedural scenes with known motion: picture, classes, motion spectrum and drift from a seed."""
