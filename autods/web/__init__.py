"""The web page: pages over runs of the command line; no numerics here."""
