"""Measurements of this program on simulated and reference data: suites, tables and figures."""
