"""LiteLoc, trained and run from its repository; see ``peer_bank.run`` for the arguments.

Network, loss, optimizer and reading of the network's output are its own (``network/loc_model.py``,
``utils/eval_utils.py``). The frames come from the bank instead of its simulator, so that its PSF models are
not needed. Batches hold 8 windows instead of 16, for more steps in the minutes of a CPU. It is a network for
depth and for three consecutive frames.
"""

import time

import torch
from peer_bank import movie_windows, padded, run, train_for, without

RATE, BETAS, MOST_NORM = 8e-4, (0.8, 0.8888), 0.03
BATCH = 8
#: Probability of a pixel that may be a molecule (its ``candi_thre``); thresholds are on five pixels' sum.
CANDIDATE = 0.3
#: Emitters of fewer photons are no targets, as it draws none below its ``photon_range``.
LEAST_PHOTONS = 100.0


def parts():
    """Return its network."""
    absent = ("thop", "hdfdict", "dotted_dict", "recursivenamespace", "skimage", "spline")
    without(*absent)
    from network.liteloc import LiteLoc

    return LiteLoc()


def train(bank, told, rng):
    """Train for the minutes told; return the weights and the steps taken."""
    network = parts()
    from network.loss_utils import LossFuncs

    side = bank.frames.shape[-1]
    losses = LossFuncs(train_size=side)
    optimizer = torch.optim.NAdam(network.parameters(), lr=RATE, betas=BETAS, eps=1e-8)
    z_scale = max(abs(depth) for depth in told["z_range_nm"]) or 1.0
    network.train()

    def step():
        windows, _, emitters = bank.batch(BATCH, 3, rng)
        # It scales photons to the brightest that it is told, and never sees any beyond.
        bright = [rows[rows[:, 3] >= LEAST_PHOTONS] for rows in emitters]
        target, mask = padded(bright, [0, 1, 2, 3])
        target[..., 2] /= z_scale
        target[..., 3] = (target[..., 3] / told["photons_most"]).clamp(max=1.0)
        there = torch.zeros(len(windows), side, side)
        frame, slot = mask.nonzero(as_tuple=True)
        x, y = target[frame, slot, :2].long().clamp(0, side - 1).T
        there[frame, y, x] = 1
        p, values, deviations = network(windows, test=False)
        return losses.final_loss(p, values, deviations, target, mask, there)

    steps = train_for(told["minutes"], optimizer, step, MOST_NORM)
    return network.state_dict(), steps


def localize(state, movie, told):
    """Return the table of each threshold, and the seconds of network and one reading."""
    network = parts()
    network.load_state_dict(state)
    network.eval()
    from utils.eval_utils import EvalMetric

    z_scale = max(abs(depth) for depth in told["z_range_nm"]) or 1.0
    tables, first, seconds = [[] for _ in told["thresholds"]], 0, 0.0
    for windows in movie_windows(movie, told, 3):
        start = time.perf_counter()
        # Consecutive frames, with one before and one behind.
        frames = torch.cat([windows[:1, 0], windows[:, 1], windows[-1:, 2]])
        p, values, _ = network(frames, test=True)
        summed = EvalMetric.nms_func(None, p, CANDIDATE)
        seconds += time.perf_counter() - start
        for table, threshold in zip(tables, told["thresholds"], strict=True):
            frame, row, column = (summed > threshold).nonzero(as_tuple=True)
            x, y, z, photons = values[frame, :, row, column].T
            columns = (
                frame + first,
                column + 0.5 + x,
                row + 0.5 + y,
                z * z_scale,
                photons * told["photons_most"],
                summed[frame, row, column],
            )
            table += list(zip(*(part.tolist() for part in columns), strict=True))
        first += len(windows)
    return tables, seconds


if __name__ == "__main__":
    run(train, localize)
