"""DECODE, trained and run from its repository; see ``peer_bank.run`` for the arguments.

Network, loss and reading of the network's output are its own, with the sizes of its reference settings
(``decode/utils/reference_files/reference.yaml``). The frames come from the bank instead of its simulator, so
that its compiled splines are not needed. Batches hold 4 or 8 windows instead of 64, for more steps in the
minutes of a CPU.
"""

import time

import numpy as np
import torch
from peer_bank import movie_windows, padded, run, train_for, without

#: Decay and the norm of the gradient are those of the reference settings.
DECAY, MOST_NORM = 0.1, 0.03
#: Rate and windows of a batch in depth: at thrice the rate, with 4 windows, all outputs saturated. In two
#: dimensions these learn faster.
IN_DEPTH, IN_PLANE = (2e-4, 8), (6e-4, 4)
#: Emitters of fewer photons are no targets (its ``emitter_label_photon_min``).
LEAST_PHOTONS = 100.0
#: Its first dimension is the rows: places are (photons, y, x, z), with 0 at the first pixel's centre.
COLUMNS = [3, 1, 0, 2]


def parts(told):
    """Return its network, and scales as its ``autoset_scaling`` makes them."""
    absent = ("spline", "deprecated", "sklearn", "seaborn", "click", "skimage", "h5py", "requests")
    without(*absent, "torch._six", "importlib_resources", "pytorch_lightning")
    from decode.neuralfitter.models import SigmaMUNet

    network = SigmaMUNet(
        told["context"],
        depth_shared=2,
        depth_union=2,
        initial_features=48,
        inter_features=48,
        activation=torch.nn.ELU(),
        pool_mode="StrideConv",
        upsample_mode="nearest",
        disabled_attributes=None if told["is_3d"] else [3],
    )
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            # Its heads say True for one pixel, which torch takes no longer.
            layer.padding = tuple(int(side) for side in layer.padding)
    mean, deviation = told["photons_mean"], told["photons_std"]
    scales = {
        "input": mean / 50,
        "phot_max": mean + 8 * deviation,
        "z_max": 1.2 * max(abs(depth) for depth in told["z_range_nm"]) or 1.0,
        "bg_max": told["background_most"],
    }
    return network, scales


def to_input(windows, told, scales):
    """Scale frames as its ``AmplitudeRescale`` does."""
    return (windows - told["background"]) / scales["input"]


def train(bank, told, rng):
    """Train for the minutes told; return the weights and the steps taken."""
    network, scales = parts(told)
    from decode.neuralfitter.loss import GaussianMMLoss

    height, width = bank.frames.shape[2:]
    extents = ((-0.5, height - 0.5), (-0.5, width - 0.5))
    loss = GaussianMMLoss(xextent=extents[0], yextent=extents[1], img_shape=(height, width), device="cpu")
    rate, batch = IN_DEPTH if told["is_3d"] else IN_PLANE
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=DECAY)
    network.train()

    def step():
        windows, background, emitters = bank.batch(batch, told["context"], rng)
        bright = [rows[rows[:, 3] >= LEAST_PHOTONS] for rows in emitters]
        target, mask = padded(bright, COLUMNS)
        target[..., 0] /= scales["phot_max"]
        target[..., 1:3] -= 0.5
        target[..., 3] = target[..., 3] / scales["z_max"] if told["is_3d"] else 0.0
        found = network(to_input(windows, told, scales))
        return loss(found, (target, mask, background / scales["bg_max"]), None).mean()

    steps = train_for(told["minutes"], optimizer, step, MOST_NORM)
    return network.state_dict(), steps


def localize(state, movie, told):
    """Return the table of each threshold, and the seconds of network and one reading."""
    network, scales = parts(told)
    network.load_state_dict(state)
    network.eval()
    from decode.neuralfitter.post_processing import SpatialIntegration
    from decode.neuralfitter.scale_transform import InverseParamListRescale

    rescale = InverseParamListRescale(scales["phot_max"], scales["z_max"], scales["bg_max"])
    tables, first, seconds = [[] for _ in told["thresholds"]], 0, 0.0
    for windows in movie_windows(movie, told, told["context"]):
        start = time.perf_counter()
        output = rescale.forward(network(to_input(windows, told, scales)))
        seconds += time.perf_counter() - start
        rows, columns = (torch.arange(side, dtype=torch.float32) for side in output.shape[-2:])
        output[:, 2] += rows[:, None]
        output[:, 3] += columns
        for table, threshold in zip(tables, told["thresholds"], strict=True):
            start = time.perf_counter()
            found = SpatialIntegration(raw_th=threshold, xy_unit="px").forward(output.clone())
            passed = time.perf_counter() - start
            seconds += passed if table is tables[0] else 0.0
            y, x, z = found.xyz.numpy().T if len(found) else np.zeros((3, 0))
            frame, photons, probability = (
                value.numpy() for value in (found.frame_ix + first, found.phot, found.prob)
            )
            table += list(zip(frame, x + 0.5, y + 0.5, z, photons, probability, strict=True))
        first += len(windows)
    return tables, seconds


if __name__ == "__main__":
    run(train, localize)
