"""Reverie beside other software: the same work, proved same, measured in the same run."""
