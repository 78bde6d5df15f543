"""A zoo made by analysis instead of training: networks of the shipped kind with weights that are computed."""

import math

import numpy as np
import torch
from scipy.special import erf

from autods.networks import build_network
from autods.zoo import CardOptics, Component, ModelCard, Span, save_model

UPSAMPLING, WIDTH, SIGMA_PX, PIXEL_NM = 4, 18, 1.1, 100.0
#: Response, in noise units, from which a maximum counts.
LEVEL = 6.0


def _template(shift_x, shift_y):
    """Zero-mean 5 x 5 image of an emitter at an offset from the central pixel's centre, of unit norm."""

    def axis(shift):
        edge = (np.arange(6) - 2.5 - shift) / (SIGMA_PX * math.sqrt(2))
        return 0.5 * np.diff(erf(edge))

    image = axis(shift_y)[:, None] * axis(shift_x)[None]
    image = image - image.mean()
    return image / np.linalg.norm(image)


def matched_filter_network(frame_weights=(1.0,)):
    """A `SubpixelNet` whose sub-pixel outputs are matched filters of an emitter at that sub-pixel.

    The first layer copies the 3 x 3 neighbourhood, positive and negative parts apart; the second composes any
    5 x 5 filter from the copies, minus the detection level. Of several frames, a weighted sum is looked at.
    """
    network = build_network(
        "subpixel", width=WIDTH, pairs=0, upsampling=UPSAMPLING, in_channels=len(frame_weights)
    )
    stem, neck = network.trunk.stem, network.trunk.neck
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    for block in (stem, neck):
        torch.nn.init.ones_(block[1].weight)
    for copy in range(9):
        dy, dx = divmod(copy, 3)
        stem[0].weight.data[2 * copy, :, dy, dx] = torch.tensor(frame_weights)
        stem[0].weight.data[2 * copy + 1, :, dy, dx] = -torch.tensor(frame_weights)
    shifts = (np.arange(UPSAMPLING) + 0.5) / UPSAMPLING - 0.5
    for channel in range(UPSAMPLING**2):
        row, column = divmod(channel, UPSAMPLING)
        template = _template(shifts[column], shifts[row])
        for y in range(5):
            for x in range(5):
                # Reached as the sum of a step of the second layer and of one of the first.
                step_y, step_x = min(max(y - 1, 0), 2), min(max(x - 1, 0), 2)
                copy = 3 * (y - step_y) + (x - step_x)
                weight = float(template[y, x])
                neck[0].weight.data[channel, 2 * copy, step_y, step_x] = weight
                neck[0].weight.data[channel, 2 * copy + 1, step_y, step_x] = -weight
        neck[1].bias.data[channel] = -LEVEL
        network.head.weight.data[channel, channel] = 0.05
    return network.eval()


def write_zoo(root, levels=((0.5, 8.0), (1.0, 6.0), (1.5, 4.0), (2.0, 2.0)), frame_weights=(1.0,)):
    """Write one model a level (density, SNR), all with the same weights."""
    context = {} if len(frame_weights) == 1 else {"in_channels": len(frame_weights)}
    for index, (density, snr) in enumerate(levels):
        card = ModelCard(
            name=f"level_{index + 1}",
            family="heatmap",
            network=Component("subpixel", {"width": WIDTH, "pairs": 0, "upsampling": UPSAMPLING, **context}),
            representation=Component("heatmap", {"pixel_size_nm": PIXEL_NM, "upsampling": UPSAMPLING}),
            normalization="noise",
            optics=CardOptics(PIXEL_NM, SIGMA_PX * PIXEL_NM),
            density_per_um2=Span(density, density / 2, density * 2),
            snr=Span(snr, snr / 2, snr * 20),
            threshold=0.02,
        )
        save_model(card, matched_filter_network(frame_weights), root / card.name)
    return root


def simulate(
    rng, n_frames=40, shape=(48, 64), per_frame=6, photons=3000.0, background=30.0, sigma_px=SIGMA_PX
):
    """Isolated emitters: frames (T, Y, X) uint16, 2 ADU a photon, offset 100; truth (N, 3): frame, x, y."""
    frames, truth = [], []
    for t in range(n_frames):
        kept = np.zeros((0, 2))
        for candidate in rng.uniform(3, np.array(shape[::-1]) - 3, (50, 2)):
            if len(kept) < per_frame and (len(kept) == 0 or np.hypot(*(kept - candidate).T).min() > 7):
                kept = np.vstack([kept, candidate])
        profile = [
            0.5 * np.diff(erf((np.arange(n + 1)[None] - kept[:, [axis]]) / (sigma_px * math.sqrt(2))), axis=1)
            for axis, n in ((0, shape[1]), (1, shape[0]))
        ]
        image = np.einsum("nx,ny->yx", profile[0] * photons, profile[1]) + background
        frames.append(rng.poisson(image) * 2 + 100)
        truth.append(np.column_stack([np.full(len(kept), t), kept]))
    return np.array(frames).astype(np.uint16), np.concatenate(truth)
