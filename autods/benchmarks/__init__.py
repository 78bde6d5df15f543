"""Measurements of this program on simulated and reference data, made by scripts anyone can run."""
