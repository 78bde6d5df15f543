"""What the scripts of trained peers share: frames to train on, movies to localize, tables to write.

Run by the Python that has the peer; neither this nor the scripts import anything of autods.
"""

import csv
import importlib.abc
import importlib.machinery
import json
import math
import sys
import time
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import tifffile
import torch

#: Sides of movies are padded to a multiple of this, for networks that halve them.
MULTIPLE_PX = 8
#: Frames of a batch in localizing.
BATCH = 32


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for packages that are not installed and that the peer's networks do not use."""

    def __init__(self, *names):
        self.names = names

    def find_spec(self, name, *_):
        """Answer for the packages, after all other finders have not."""
        own = any(f"{name}.".startswith(f"{absent}.") for absent in self.names)
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if own else None

    def create_module(self, spec):
        """Return a module that has everything; its decorators return what they are given."""
        module = MagicMock(name=spec.name)
        module.deprecated = lambda *_, **__: lambda function: function
        return module

    def exec_module(self, module):
        """Do nothing."""


def without(*names):
    """Let imports of packages succeed that may be absent."""
    sys.meta_path.append(Absent(*names))


def to_photons(frames, told):
    """Convert camera values to photons (float32)."""
    scale = told["e_per_adu"] / (told["em_gain"] or 1.0) / told["qe"]
    return (np.asarray(frames, np.float32) - told["offset_adu"]) * np.float32(scale)


class Bank:
    """Simulated movies with their truth: batches of windows of consecutive frames.

    Lengths are pixels with the origin at the outer corner of the first one; z is nm.
    """

    def __init__(self, path, told):
        with np.load(path) as file:
            self.frames = torch.from_numpy(to_photons(file["frames"], told))  # (M, T, Y, X)
            self.background = torch.from_numpy(file["background"])  # (M, Y, X) photons
            truth = file["truth"]  # (N, 6): movie, frame, x_nm, y_nm, z_nm, photons
        n_movies, n_frames = self.frames.shape[:2]
        place = (truth[:, 0] * n_frames + truth[:, 1]).astype(int)
        values = truth[:, 2:].astype(np.float32)
        values[:, :2] /= told["pixel_size_nm"]
        order = np.argsort(place, kind="stable")
        ends = np.searchsorted(place[order], np.arange(1, n_movies * n_frames))
        self.emitters = np.split(values[order], ends)

    def batch(self, size, context, rng):
        """Draw windows (B, context, Y, X) photons, background (B, Y, X), and emitters of the middle frames.

        Emitters are a list of arrays (n, 4): x_px, y_px, z_nm, photons.
        """
        n_movies, n_frames = self.frames.shape[:2]
        reach = context // 2
        movies = rng.integers(n_movies, size=size)
        middles = rng.integers(reach, n_frames - reach, size=size)
        pairs = list(zip(movies, middles, strict=True))
        windows = torch.stack([self.frames[m, t - reach : t + reach + 1] for m, t in pairs])
        return windows, self.background[movies], [self.emitters[m * n_frames + t] for m, t in pairs]


def padded(emitters, columns):
    """Return emitters of frames as (B, N, 4), in an order of columns, and their mask (B, N)."""
    most = max(1, *(len(rows) for rows in emitters))
    values = torch.zeros(len(emitters), most, 4)
    mask = torch.zeros(len(emitters), most)
    for row, found in enumerate(emitters):
        values[row, : len(found)] = torch.from_numpy(found[:, columns])
        mask[row, : len(found)] = 1
    return values, mask


def train_for(minutes, optimizer, step, most_norm):
    """Take steps for some minutes; the learning rate falls to zero along a cosine. Return the steps taken.

    ``step`` returns the loss of a batch.
    """
    start, steps, base = time.perf_counter(), 0, [group["lr"] for group in optimizer.param_groups]
    while (passed := (time.perf_counter() - start) / (60 * minutes)) < 1:
        for group, rate in zip(optimizer.param_groups, base, strict=True):
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * passed))
        loss = step()
        optimizer.zero_grad()
        loss.backward()
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        torch.nn.utils.clip_grad_norm_(weights, max_norm=most_norm, norm_type=2)
        optimizer.step()
        steps += 1
    return steps


def movie_windows(path, told, context):
    """Yield the movie's windows (B, context, Y, X) in photons; sides are padded, ends repeated."""
    frames = torch.from_numpy(to_photons(tifffile.imread(path), told))
    height, width = frames.shape[1:]
    more = (0, -width % MULTIPLE_PX, 0, -height % MULTIPLE_PX)
    frames = torch.nn.functional.pad(frames[None], more, mode="reflect")[0]
    reach = context // 2
    index = torch.arange(len(frames))[:, None] + torch.arange(-reach, reach + 1)
    windows = frames[index.clamp(0, len(frames) - 1)]
    yield from windows.split(BATCH)


def write_tables(folder, told, tables, shape):
    """Write ``table_N.csv`` for each threshold.

    Rows of a table are frame (from 0), x_px, y_px, z_nm, photons, probability.
    """
    height, width = shape
    pixel_nm = told["pixel_size_nm"]
    for number, rows in enumerate(tables):
        with (Path(folder) / f"table_{number}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            z = ["z [nm]"] if told["is_3d"] else []
            writer.writerow(["frame", "x [nm]", "y [nm]", *z, "intensity [photon]", "confidence"])
            for frame, x, y, depth, photons, probability in rows:
                if 0 <= x < width and 0 <= y < height:
                    place = [x * pixel_nm, y * pixel_nm, *([depth] if told["is_3d"] else [])]
                    writer.writerow([int(frame) + 1, *place, photons, probability])


def run(train, localize):
    """Carry out ``SCRIPT train FOLDER`` or ``SCRIPT localize FOLDER``, with the repository in PYTHONPATH.

    FOLDER holds ``settings.json``; training leaves ``model.pt`` and ``done.json`` there, localizing
    ``table_N.csv`` of each threshold and ``done.json``.
    """
    action, folder = sys.argv[1], Path(sys.argv[2])
    told = json.loads((folder / "settings.json").read_text())
    torch.manual_seed(told["seed"])
    if action == "train":
        bank = Bank(told["bank"], told)
        start = time.perf_counter()
        state, steps = train(bank, told, np.random.default_rng(told["seed"]))
        torch.save(state, folder / "model.pt")
        done = {"minutes": (time.perf_counter() - start) / 60, "steps": steps}
    else:
        with tifffile.TiffFile(told["movie"]) as file:
            shape = file.pages[0].shape
        state = torch.load(told["model"], weights_only=True)
        with torch.no_grad():
            tables, seconds = localize(state, told["movie"], told)
        write_tables(folder, told, tables, shape)
        done = {"seconds": seconds}
    (folder / "done.json").write_text(json.dumps(done))
