"""Calibrate the density and SNR estimators on simulated patches and write their coefficients."""

from __future__ import annotations

import argparse
from pathlib import Path

from autods.estimation.correction import CORRECTION_FILE, write_correction
from benchmarks.estimators import calibrate


def main() -> None:
    """Read the arguments, calibrate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patches", type=int, default=4000, help="simulated patches (default 4000, ~10 min)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=CORRECTION_FILE)
    arguments = parser.parse_args()
    write_correction(calibrate(arguments.patches, arguments.seed), arguments.out)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
