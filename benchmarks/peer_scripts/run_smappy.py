"""SMAPpy on ``movie.tif`` of a folder: run by a Python that has it, never imported by the benchmarks."""

import csv
import json
import sys
from pathlib import Path

import smappy
import tifffile

folder = Path(sys.argv[1])
told = json.loads((folder / "settings.json").read_text())
pixel_nm = told["pixel_size_nm"]
frames = tifffile.imread(folder / "movie.tif")
locs = smappy.fit(
    frames,
    camera={
        "conversion": told["e_per_adu"] / told["qe"],
        "offset": told["offset_adu"],
        "pixelsize_um": (pixel_nm * 1e-3, pixel_nm * 1e-3),
        "em_on": told["em_gain"] is not None,
        "emgain": told["em_gain"] or 1.0,
        "roi": (0, 0, frames.shape[2], frames.shape[1]),
    },
    cutoff=told["setting"],
    cutoff_mode="dynamic",
    roisize=7,
)
with (folder / "table.csv").open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["frame", "x [nm]", "y [nm]", "intensity [photon]", "sigma [nm]"])
    columns = [locs[name] for name in ("frame", "x_nm", "y_nm", "photons", "sigma_nm")]
    # Its frames count from 0, its origin is the centre of the first pixel.
    for frame, x, y, photons, sigma in zip(*columns, strict=True):
        writer.writerow([int(frame) + 1, x + pixel_nm / 2, y + pixel_nm / 2, photons, sigma])
