"""The picture of the README: ``python scripts/demo_figure.py autods_demo docs/demo.png``."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from autods.io.atomic import atomic_path
from autods.io.movie import open_movie


def main(demo: Path, target: Path) -> None:
    """Put the mean of the demo's movie, as a camera would show it, beside the reconstruction."""
    right = Image.open(demo / "preview.png").convert("RGB")
    with open_movie(demo / "simulation" / "movie.tif") as movie:
        mean = movie.read(0, movie.shape[0]).mean(0)
    low, high = np.percentile(mean, (0.5, 99.8))
    grey = (np.clip((mean - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    left = Image.fromarray(grey).resize(right.size, Image.Resampling.NEAREST).convert("RGB")
    both = Image.new("RGB", (2 * right.width + 12, right.height), "white")
    both.paste(left, (0, 0))
    both.paste(right, (right.width + 12, 0))
    both.thumbnail((1400, 1400))
    with atomic_path(target) as part:
        both.save(part, format="PNG", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
