"""The table of commands: what each takes, for dispatch and for ``--help``; imports nothing heavy."""

from __future__ import annotations

from autods.cli.command import Command
from autods.configuration.meanings import meaning
from autods.pipelines import definitions
from autods.pipelines.definitions import Setting

#: Options that take a value, and what it is.
OPTIONS = {
    "--out": ("DIR", "the folder for the results"),
    "--truth": ("FILE", "the table of true positions"),
    "--beads": ("FILE", "a bead stack"),
    "--psf": ("FILE", "a psf.h5 from `autods calibrate`"),
    "--run": ("DIR", "the run folder of an earlier training"),
    "--data": ("DIR", "a folder that may be read and written; may be given more than once"),
    "--host": ("NAME", meaning("web", "host")),
    "--port": ("N", meaning("web", "port")),
}

#: Options without a value.
FLAGS = {"--follow": "localize while the file grows", "--no-token": "let everybody on this machine in"}


def _keys(*settings: Setting) -> tuple[str, ...]:
    return tuple(setting.key for setting in settings)


_OPTICS, _CAMERA = _keys(*definitions.OPTICS), _keys(*definitions.CAMERA)
_INDICES, _MOVIE = _keys(*definitions.INDICES), _keys(*definitions.PART)
_FINISH = _keys(*definitions.FINISH)


COMMANDS = {
    command.name: command
    for command in (
        Command(
            name="doctor",
            summary="check the installation and say what to fix; with a movie, what is found in its file",
            usage="[MOVIE] [channel=N] [position=N]",
            config="doctor",
            paths=(0, 1),
            keys=_MOVIE[:2],
            details="MOVIE: its format, series, pixel size and source, camera, and what of it is not read.",
        ),
        Command(
            name="demo",
            summary="simulate a small movie with truth, localize it, print the score, write the report",
            usage="[two_targets] [--out DIR] [key=value ...]",
            config="demo",
            options=("--out",),
            paths=(0, 1),
            keys=("simulate.n_frames", "simulate.seed", "device"),
            details=(
                "Without --out the results go to autods_demo/ in the current folder. two_targets shows two\n"
                "structures in two channels, one of them distorted, with common beads: simulated,\n"
                "localized, registered and drawn in one picture."
            ),
        ),
        Command(
            name="localize",
            summary="2D one-click: movie in, localizations, super-resolved image and report out",
            usage="MOVIE... [-m] [--out DIR] [--follow] [key=value ...]",
            is_swept=True,
            config="localize",
            options=("--out",),
            flags=("--follow",),
            paths=(1, None),
            keys=(
                *_OPTICS,
                *_CAMERA,
                *_MOVIE,
                "selection",
                "zoo",
                "selection.family",
                "tiling.patch_um",
                "background",
                "rescale",
                "decode.threshold",
                "decode.min_significance",
                "decode.max_uncertainty_nm",
                "refine",
                *_FINISH,
                "follow.idle_s",
                "device",
                "processes.per_machine",
            ),
            details=(
                "What is not given is read from the file, else measured from the movie, else has a default;\n"
                "the report says which. One movie goes to --out (default: NAME_autods/ in the current\n"
                "folder); of a folder or several movies each gets its own folder there, and a movie that\n"
                "fails does not stop the others. Repeating an interrupted command goes on where it stopped.\n"
                "Instead of zoo=, model=DIR names one model, or the run folder of a training.\n"
                "-m sweeps over comma-separated values: a folder for each combination, and results.csv."
            ),
        ),
        Command(
            name="combine",
            summary="two targets or channels: registered tables and one picture in magenta and green",
            usage="FIRST SECOND [--out DIR] [key=value ...]",
            config="combine",
            options=("--out",),
            paths=(2, 2),
            keys=("registration", "render.pixel_size_nm"),
            details=(
                "FIRST and SECOND are run folders of autods localize or tables of any program; two halves\n"
                "of a frame or two channels of a file are localized with roi= or channel=. Without --out\n"
                "the results go to FIRST_SECOND_combined/ in the current folder. The registration.json of\n"
                "bead movies serves those of the sample too."
            ),
        ),
        Command(
            name="finish",
            summary="filter, correct the drift of, link and export a table of any program",
            usage="TABLE [--out DIR] [key=value ...]",
            config="finish",
            options=("--out",),
            paths=(1, 1),
            keys=(*_FINISH, "optics.pixel_size_nm"),
            details=(
                "TABLE is a run folder, whose drift is first put back, or a table. Writes the same files as\n"
                "autods localize, and localizations_sml.mat for SMAP. Without --out the results go to\n"
                "TABLE_finished/ in the current folder."
            ),
        ),
        Command(
            name="profile",
            summary="what the movie tells: density, SNR, background, PSF width, whole and per patch",
            usage="MOVIE [--out DIR] [key=value ...]",
            config="profile",
            options=("--out",),
            paths=(1, 1),
            keys=(*_OPTICS, *_CAMERA, *_MOVIE, "tiling.patch_um"),
            details=(
                "Writes profile.json to --out (default: NAME_autods/ in the current folder)\n"
                "and prints a summary."
            ),
        ),
        Command(
            name="simulate",
            summary="simulate a blinking movie with truth: movie.tif, truth.csv",
            usage="--out DIR [key=value ...]",
            config="simulate",
            options=("--out",),
            keys=(
                "n_frames",
                "size_px",
                "structure",
                "psf",
                "psf.z_min_nm",
                "psf.z_max_nm",
                "density_per_um2",
                "photons",
                "background",
                "seed",
                *_OPTICS,
                *_CAMERA,
            ),
        ),
        Command(
            name="calibrate",
            summary="a PSF from a bead stack, or from the movie's own molecules: psf.h5 and figures",
            usage="BEADS [--out DIR] [key=value ...]",
            config="calibrate",
            options=("--out",),
            paths=(1, 1),
            keys=(
                "method",
                "calibration.z_step_nm",
                "calibration.z_nm",
                "calibration.scan",
                "calibration.size_px",
                "calibration.model",
                "calibration.amplitude",
                "mask.file",
                *_OPTICS,
                *_INDICES[:2],
                *_CAMERA,
            ),
            details="Without --out the results go to NAME_psf/ in the current folder.",
        ),
        Command(
            name="psf",
            summary="show a PSF file (psf.h5, SMAP or DECODE *_3dcal.mat, uiPSF .h5) as a picture",
            usage="show FILE [--out DIR] [key=value ...]",
            config="psf_show",
            options=("--out",),
            paths=(2, 2),
            keys=("show.z_min_nm", "show.z_max_nm", "show.slices", "optics.nfp_nm", "optics.pixel_size_nm"),
        ),
        Command(
            name="localize3d",
            summary="3D one-click: movie and bead stack in, localizations in depth, pictures and report out",
            usage="MOVIE --beads BEADS | --psf PSF | --run DIR [--out DIR] [key=value ...]",
            config="localize3d",
            options=("--beads", "--psf", "--run", "--out"),
            paths=(1, 1),
            keys=(
                "psf.z_min_nm",
                "psf.z_max_nm",
                "psf",
                "calibration.z_step_nm",
                "calibration.z_nm",
                "calibration.scan",
                *_OPTICS,
                *_INDICES,
                *_CAMERA,
                *_MOVIE,
                "background",
                "snr.region",
                "snr.size_px",
                "snr.max_pixel_value",
                "preset",
                "family",
                "trainer.max_minutes",
                "trainer.max_steps",
                "processes.per_machine",
                "refine",
                "decode.threshold",
                "decode.min_significance",
                "decode.max_uncertainty_nm",
                *_FINISH,
                "until",
                "device",
            ),
            details=(
                "Calibrates the PSF, removes the background, measures noise and photons, trains a network\n"
                "on frames simulated alike, tests it, and localizes the movie. Stages whose inputs have not\n"
                "changed are not repeated; an interrupted command goes on where it stopped. --run takes PSF\n"
                "and network of an earlier run. Without --out the results go to NAME_autods3d/ here."
            ),
        ),
        Command(
            name="evaluate",
            summary="compare localizations with truth: detection and image metrics as JSON",
            usage="PRED --truth TRUTH [--out DIR] [key=value ...]",
            config="evaluate",
            options=("--truth", "--out"),
            paths=(1, 1),
            keys=(
                "radius_nm",
                "axial_radius_nm",
                "frames",
                "field_nm",
                "image_pixel_size_nm",
                "optics.pixel_size_nm",
            ),
            details=(
                "PRED and TRUTH: ThunderSTORM or Picasso tables, a truth.csv, or a run folder.\n"
                "With --out the JSON is also written to DIR/evaluation.json."
            ),
        ),
        Command(
            name="train",
            summary="train a network (-m sweeps); TensorBoard logs",
            usage="experiment=NAME | movie=MOVIE [-m] [key=value ...]",
            entry="command",
            is_swept=True,
            config="train",
            keys=(
                "experiment",
                "movie",
                "profile",
                "optics.pixel_size_nm",
                "warm_start",
                "trainer.max_minutes",
            ),
            details=(
                "Settings go to Hydra as they are, sweeps and +key=value included. psf=FILE renders with a\n"
                "calibrated PSF. With movie= what is given wins over what is measured, and config.yaml in\n"
                "the run folder says where each number came from; autods localize MOVIE model=RUN uses it."
            ),
            overrides_only=True,
        ),
        Command(
            name="zoo",
            summary="train the pre-trained models that are missing, or score those that are there",
            usage="build|score [key=value ...]",
            config="zoo",
            paths=(1, 1),
            keys=("budget", "models", "only"),
        ),
        Command(
            name="benchmark",
            summary="measure side by side: tables and figures with machine, commit and command",
            usage="suite=NAME [-m] [--out DIR] [key=value ...]",
            entry="command",
            is_swept=True,
            config="benchmark",
            options=("--out",),
            keys=("suite", "zoo", "picasso_python", "device"),
            details=(
                "2D: movies2d, uniform, heterogeneous, selection, density_snr, patch_size, estimation,\n"
                "speed, widths. 3D: oneclick3d, ds3d_compare, snr3d_density, nfp. Any: external (tables of\n"
                "other programs), resolution (FRC and decorrelation). readme: what the README shows.\n"
                "Settings of a suite: suite.KEY=VALUE, see conf/suite/NAME.yaml. suite=fast/NAME is a small\n"
                "version. Without --out the results go to runs/benchmark_NAME/, with report.html over them."
            ),
        ),
        Command(
            name="web",
            summary="the web page: 2D and 3D reconstruction without typing commands",
            usage="[--data DIR ...] [--host NAME] [--port N] [--no-token] [key=value ...]",
            config="web",
            options=("--data", "--host", "--port"),
            flags=("--no-token",),
            keys=("max_upload_mb",),
            details=(
                "Only the folders of --data (default: the current one) can be read and written; runs go to\n"
                "autods_runs/ in the first. The printed address holds the token (AUTODS_TOKEN sets it)."
            ),
        ),
    )
}
