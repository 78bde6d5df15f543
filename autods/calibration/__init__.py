"""Calibration of the PSF: from bead stacks, or from the blinking molecules of the movie itself."""
