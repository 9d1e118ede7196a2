"""Measured figures: one small script a quantity; results lie in results/."""
