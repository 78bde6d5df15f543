"""Print the errors of the density and SNR estimators, published and corrected, over a grid of conditions."""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.estimators import GRID_DENSITY_PER_UM2, GRID_SNR, estimator_errors


def main() -> None:
    """Read the arguments, measure, print the medians and the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=6, help="patches per cell of the grid (default 6)")
    parser.add_argument("--seed", type=int, default=1_000_000, help="not the calibration's")
    arguments = parser.parse_args()
    errors = estimator_errors(arguments.repeats, arguments.seed)
    for name, median in errors.medians().items():
        print(f"{name}: median relative error {100 * median:.1f} %")
    for name, ratio in vars(errors).items():
        print(f"\n{name}: median of estimate / truth; rows density per um^2, columns SNR")
        print("        " + "".join(f"{snr:8g}" for snr in GRID_SNR))
        for density, row in zip(GRID_DENSITY_PER_UM2, np.median(ratio, axis=-1), strict=True):
            print(f"{density:8g}" + "".join(f"{value:8.2f}" for value in row))


if __name__ == "__main__":
    main()
