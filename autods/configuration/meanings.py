"""What each setting of a command is, in a sentence: for help, the list of settings, Python's docstrings.

Settings of the one-clicks are described by `autods.pipelines.definitions`, the others here; none is twice.
Imports nothing heavy: help must not wait for torch.
"""

from __future__ import annotations

from autods.pipelines.definitions import LOCALIZE, LOCALIZE3D, Setting

#: Settings of several commands.
_SHARED = {
    "selection.scope": "movie: one model per patch; frame: one per patch and frame",
    "zoo": "folder of the models; null: those shipped",
    "processes.per_machine": "processes that share the frames, on each machine; with GPUs, one for each",
    "processes.machines": "machines that share the frames",
    "radius_nm": "farthest a localization may lie from its emitter, nm",
    "calibration.size_px": "side of the cut-out around a bead, odd; null: measured",
    "calibration.saturation_adu": "value of a saturated pixel, ADU; null: a plateau of equal maxima",
    "calibration.phase": "pixel: Zernike modes and a free phase per pupil sample; zernike: modes only",
    "calibration.model": "scalar or vectorial diffraction",
    "calibration.loss": "likelihood: weighted by the noise; mse: plain squares",
    "calibration.amplitude": "fit the pupil's amplitude too: true or false",
    "calibration.supercritical": (
        "light beyond the critical angle (beads at the coverslip); null: if it fits better"
    ),
    "calibration.steps": "of gradient descent",
    "calibration.zernike_max": "largest Noll index",
    "calibration.smoothness": "weight of the free phase's roughness",
    "calibration.seed": "of the slices drawn in each step",
    "calibration.field": "aberrations over the field, from each bead at its place",
}
#: What a table may not state.
_TABLE_PIXEL = {"optics.pixel_size_nm": "camera pixel in the sample, nm, where a table does not state it"}
_SIMULATE = {
    "n_frames": "length of the movie",
    "size_px": "side of the square frame, pixels",
    "structure": (
        "uniform, filaments, mitochondria, rings, clusters; in depth microtubules, lamina, nuclear_pores"
    ),
    "psf": "a PSF by name for emitters in depth: astigmatism, double_helix, tetrapod, ...; null: in focus",
    "psf.z_min_nm": "lowest depth of the emitters with a PSF, nm from the coverslip",
    "psf.z_max_nm": "highest depth of the emitters with a PSF, nm from the coverslip",
    "density_per_um2": "mean emitters per um^2 and frame",
    "photons": "mean photons of an emitter in a frame",
    "background": "mean background, photons per pixel",
    "on_frames": "mean time that a molecule stays on, frames",
    "gradient": "non-uniformity of the background: slope, 0 to 1",
    "blobs": "non-uniformity of the background: blobs, 0 to 1",
    "drift": "none, smooth, walk, steps",
    "drift_nm": "range of the drift, nm",
    "beads": "beads that shine in every frame, ten times as bright as a molecule",
    "seed": "of all random numbers: the same seed gives the same movie",
}
_CALIBRATE = {
    "method": "beads: a z-stack of beads; insitu: blinking molecules of a movie",
    "mask.file": "the designed mask as first guess (.npy, .mat, TIFF, radians)",
    "mask.magnification": "of objective and tube lens",
    "mask.focal_length_4f_mm": "of the relay that images the pupil on the mask, mm",
    "mask.pixel_um": "of the mask's file, in the plane of the mask, um",
    "insitu.z_min_nm": "lowest z of the molecules from the focus, nm; null: -600",
    "insitu.z_max_nm": "highest z of the molecules from the focus, nm; null: 600",
    "insitu.start_waves": "strength of the assumed astigmatism, waves rms, without a mask",
    "insitu.start_angle_deg": "its orientation, degrees",
    "insitu.rounds": "alternations of positions and pupil",
    "insitu.max_molecules": "most molecules that are used",
    "insitu.size_px": "side of a cut-out from a movie, pixels",
}
_LOCALIZE3D = {
    "psf": "instead of --beads, --psf or --run: a PSF by name, for instance astigmatic_gaussian",
    "psf.origin": "of z, for a bead stack: focus: where the bead is in focus; given: where its position is 0",
    "network.args.width": "channels",
    "data.n_slices": "slices of the volume (voxels)",
    "data.size_px": "side of the training frames, pixels; grows with the PSF",
    "data.batch_size": "of frames of that side; larger ones come fewer",
    "data.batches_per_epoch": "between two validations",
    "data.validation_batches": "of a validation",
    "data.seed": "of weights and simulations",
    "module.learning_rate": "peak of the learning rate",
    "trainer.patience": "validations without improvement before stopping; null: none",
    "trainer.adapt_minutes": "of the shipped network (universal) for this PSF; 0: as it is",
    "trainer.warm_start": "a model's folder whose weights are taken where they fit",
    "passes": "of the network; from the second on at what the fitted molecules leave",
    "until": "last stage: calibrate, background, snr, train, test, localize",
}
_TRAIN = {
    "experiment": "which training, for instance zoo/mixture; of movie=: from_movie",
    "movie": "movie, or [list], whose density, SNR, background, PSF and noise are trained for",
    "profile": "instead: profile.json of autods profile",
    "optics.pixel_size_nm": "of the movie, nm, where its file does not state it; so camera.*",
    "warm_start": "shipped model, a model's folder or a checkpoint to start from; null: none",
    "trainer.max_minutes": "stop after so many minutes, keeping the best",
}
#: Settings of one command, by its configuration; they go before those above and the one-clicks'.
_OWN = {
    "localize": {
        "follow.idle_s": "with --follow: seconds without a new frame that mean the end",
    },
    "localize3d": _LOCALIZE3D,
    "demo": {"simulate.psf": _SIMULATE["psf"]},
    "simulate": _SIMULATE,
    "combine": {"registration": "auto: from common beads, else structure; none; or a registration.json"},
    "finish": _TABLE_PIXEL,
    "calibrate": _CALIBRATE,
    "psf_show": {
        "show.z_min_nm": "depth of the first image, nm",
        "show.z_max_nm": "depth of the last image, nm",
        "show.slices": "number of images",
        "show.size_px": "side of the images, pixels",
        "optics.nfp_nm": "nominal focal plane, nm; null: the file's own",
        "optics.pixel_size_nm": "camera pixel, nm, for files that do not state it (SMAP)",
    },
    "evaluate": {
        "axial_radius_nm": "the same along z, nm, where both tables have z; null: do not look at z",
        "remove_axial_offset": "subtract the constant distance of the two origins of z first",
        "remove_lateral_offset": "and of x and y: beads give a PSF no lateral origin of its own",
        "frames": "START:STOP of the frames that count; null: all",
        "field_nm": "HEIGHT:WIDTH of the field, nm; null: the smallest that holds both",
        "image_pixel_size_nm": "pixel of the images that are compared, nm",
        "resolution_pixel_size_nm": "pixel of the images whose resolution is measured, nm",
        **_TABLE_PIXEL,
    },
    "train": _TRAIN,
    "zoo": {
        "budget": "cpu: about three hours on a core; gpu: the shipped ones",
        "models": "folder of the models",
        "only": "names of some models, so that several processes share the work; null: all",
    },
    "benchmark": {
        "suite": "which one, of those below",
        "zoo": _SHARED["zoo"],
        "picasso_python": "a Python that has picassosr, to run Picasso beside",
        "device": LOCALIZE["device"].meaning,
    },
    "web": {
        "host": "address to listen on; 0.0.0.0: all of this machine's",
        "port": "port to listen on",
        "max_upload_mb": "largest file that can be uploaded, MB",
    },
}
#: Configurations that are files of ``conf/``: their keys mean something of their own.
_FILES = ("train", "zoo", "benchmark")
#: Short words of the command line, and the settings that they stand for.
_SHORT = {"selection": "selection.rule"}


def meaning(config: str, key: str) -> str:
    """Return what a setting of a command is; '' where nothing is said of it.

    Parameters
    ----------
    config
        The command's configuration.
    key
        Dotted, as on the command line; a setting of `simulate` within `demo` begins with ``simulate.``.
    """
    key = _SHORT.get(key, key)
    said = _OWN.get(config, {}).get(key, "")
    if said or config in _FILES:
        return said
    if key.startswith("simulate."):
        return meaning("simulate", key.removeprefix("simulate."))
    defined = _defined(config).get(key)
    return _SHARED.get(key) or (defined.meaning if defined else "")


def _defined(config: str) -> dict[str, Setting]:
    """Return the definitions of both one-clicks; where they differ, those of 2D unless it is about 3D."""
    return {**LOCALIZE, **LOCALIZE3D} if config == "localize3d" else {**LOCALIZE3D, **LOCALIZE}


def own_keys(config: str) -> list[str]:
    """Return the settings of a command that are described here for it alone, groups among them."""
    return list(_OWN.get(config, {}))


def by_python_name(config: str) -> dict[str, str]:
    """Return what the settings of a command are, by their names in Python."""
    first = LOCALIZE3D if config == "localize3d" else LOCALIZE
    found: dict[str, str] = {}
    for key in [*own_keys(config), *first, *_defined(config), *_SHARED]:
        group, _, last = key.rpartition(".")
        name = f"{group}_{last}" if group in ("link", "render") else group if last == "rule" else last
        found.setdefault(name, meaning(config, key).replace("null", "None"))
    return found
