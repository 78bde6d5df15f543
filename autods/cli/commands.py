"""The table of commands: what each takes, for dispatch and for ``--help``; imports nothing heavy."""

from __future__ import annotations

from autods.cli.command import Command
from autods.pipelines import definitions
from autods.pipelines.definitions import LOCALIZE3D, Setting

#: Options that take a value, and what it is.
OPTIONS = {
    "--out": ("DIR", "the folder for the results"),
    "--truth": ("FILE", "the table of true positions"),
    "--beads": ("FILE", "a bead stack"),
    "--psf": ("FILE", "a psf.h5 from `autods calibrate`"),
    "--run": ("DIR", "the run folder of an earlier training"),
    "--data": ("DIR", "a folder that may be read and written; may be given more than once"),
    "--host": ("NAME", "address to listen on (default: 127.0.0.1)"),
    "--port": ("N", "port to listen on (default: 8080)"),
}

#: Options without a value.
FLAGS = {"--follow": "localize while the file grows", "--no-token": "let everybody on this machine in"}


def _described(*settings: Setting) -> tuple[tuple[str, str], ...]:
    """Return the lines of settings for a command's help."""
    return tuple((setting.key, setting.meaning) for setting in settings)


def _of_3d(*keys: str) -> tuple[tuple[str, str], ...]:
    return _described(*(LOCALIZE3D[key] for key in keys))


OPTICS_KEYS, CAMERA_KEYS = _described(*definitions.OPTICS), _described(*definitions.CAMERA)
INDEX_KEYS, MOVIE_KEYS = _described(*definitions.INDICES), _described(*definitions.PART)
FINISH_KEYS, DEVICE_KEYS = _described(*definitions.FINISH), _described(definitions.DEVICE)


COMMANDS = {
    command.name: command
    for command in (
        Command(
            name="doctor",
            summary="check the installation and say what to fix; with a movie, what is found in its file",
            usage="[MOVIE] [channel=N] [position=N]",
            entry="autods.cli.doctor:run",
            config="doctor",
            paths=(0, 1),
            keys=MOVIE_KEYS[:2],
            details="MOVIE: its format, series, pixel size and source, camera, and what of it is not read.",
        ),
        Command(
            name="demo",
            summary="simulate a small movie with truth, localize it, print the score, write the report",
            usage="[two_targets] [--out DIR] [key=value ...]",
            entry="autods.cli.demo:run",
            config="demo",
            options=("--out",),
            paths=(0, 1),
            keys=(
                ("simulate.n_frames", "frames of the movie"),
                ("simulate.seed", "of the simulation"),
                *DEVICE_KEYS,
            ),
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
            entry="autods.cli.localize:run",
            is_swept=True,
            config="localize",
            options=("--out",),
            flags=("--follow",),
            paths=(1, None),
            keys=(
                *OPTICS_KEYS,
                *CAMERA_KEYS,
                *MOVIE_KEYS,
                ("selection", "how a model is chosen: auto, average, density, snr, nearest, fixed:NAME"),
                ("zoo", "folder of the models; model=DIR: one model, or the run folder of a training"),
                *_described(
                    *(
                        definitions.LOCALIZE[key]
                        for key in (
                            "selection.family",
                            "tiling.patch_um",
                            "background",
                            "rescale",
                            "decode.threshold",
                            "decode.min_significance",
                            "decode.max_uncertainty_nm",
                            "refine",
                        )
                    )
                ),
                *FINISH_KEYS,
                ("follow.idle_s", "with --follow: seconds without a new frame that mean the end"),
                *DEVICE_KEYS,
                ("processes.per_machine", "processes that share the frames of a movie"),
            ),
            details=(
                "What is not given is read from the file, else measured from the movie, else has a default;\n"
                "the report says which. One movie goes to --out (default: NAME_autods/ in the current\n"
                "folder); of a folder or several movies each gets its own folder there, and a movie that\n"
                "fails does not stop the others. Repeating an interrupted command goes on where it stopped.\n"
                "-m sweeps over comma-separated values: a folder for each combination, and results.csv."
            ),
        ),
        Command(
            name="combine",
            summary="two targets or channels: registered tables and one picture in magenta and green",
            usage="FIRST SECOND [--out DIR] [key=value ...]",
            entry="autods.cli.combine:run",
            config="combine",
            options=("--out",),
            paths=(2, 2),
            keys=(
                ("registration", "auto: from common beads, else structure; none; or a registration.json"),
                *_described(definitions.RENDER),
            ),
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
            entry="autods.cli.finish:run",
            config="finish",
            options=("--out",),
            paths=(1, 1),
            keys=(
                *FINISH_KEYS,
                ("optics.pixel_size_nm", "camera pixel, nm, where the table does not state it"),
            ),
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
            entry="autods.cli.profile:run",
            config="profile",
            options=("--out",),
            paths=(1, 1),
            keys=(*OPTICS_KEYS, *CAMERA_KEYS, *MOVIE_KEYS, *_described(definitions.TILING)),
            details=(
                "Writes profile.json to --out (default: NAME_autods/ in the current folder)\n"
                "and prints a summary."
            ),
        ),
        Command(
            name="simulate",
            summary="simulate a blinking movie with truth: movie.tif, truth.csv",
            usage="--out DIR [key=value ...]",
            entry="autods.cli.simulate:run",
            config="simulate",
            options=("--out",),
            keys=(
                ("n_frames", "length of the movie"),
                ("size_px", "side of the square frame, pixels"),
                (
                    "structure",
                    "uniform, filaments, mitochondria, rings, clusters; in depth also microtubules, ...",
                ),
                ("psf", "a PSF by name for emitters in depth: astigmatism, double_helix, tetrapod, ..."),
                ("psf.z_min_nm", "lowest depth, nm; psf.z_max_nm the highest"),
                ("density_per_um2", "mean emitters per um^2 and frame"),
                ("photons", "mean photons of an emitter in a frame"),
                ("background", "photons per pixel"),
                ("seed", "of the random numbers"),
                *OPTICS_KEYS,
                *CAMERA_KEYS,
            ),
        ),
        Command(
            name="calibrate",
            summary="a PSF from a bead stack, or from the movie's own molecules: psf.h5 and figures",
            usage="BEADS [--out DIR] [key=value ...]",
            entry="autods.cli.calibrate:run",
            config="calibrate",
            options=("--out",),
            paths=(1, 1),
            keys=(
                ("method", "beads: a z-stack of beads; insitu: blinking molecules"),
                *_of_3d("calibration.z_step_nm", "calibration.z_nm", "calibration.scan"),
                ("calibration.size_px", "side of the cut-out around a bead; null: measured"),
                ("calibration.model", "scalar or vectorial"),
                ("calibration.amplitude", "fit the pupil's amplitude too: true or false"),
                ("mask.file", "the designed mask as first guess"),
                *OPTICS_KEYS,
                *INDEX_KEYS[:2],
                *CAMERA_KEYS,
            ),
            details="Without --out the results go to NAME_psf/ in the current folder.",
        ),
        Command(
            name="psf",
            summary="show a PSF file (psf.h5, SMAP or DECODE *_3dcal.mat, uiPSF .h5) as a picture",
            usage="show FILE [--out DIR] [key=value ...]",
            entry="autods.cli.psf:run",
            config="psf_show",
            options=("--out",),
            paths=(2, 2),
            keys=(
                ("show.z_min_nm", "depth of the first image, nm"),
                ("show.z_max_nm", "depth of the last image, nm"),
                ("show.slices", "number of images"),
                ("optics.nfp_nm", "nominal focal plane, nm"),
                ("optics.pixel_size_nm", "camera pixel, nm; for files that do not state it"),
            ),
        ),
        Command(
            name="localize3d",
            summary="3D one-click: movie and bead stack in, localizations in depth, pictures and report out",
            usage="MOVIE --beads BEADS | --psf PSF | --run DIR [--out DIR] [key=value ...]",
            entry="autods.cli.localize3d:run",
            config="localize3d",
            options=("--beads", "--psf", "--run", "--out"),
            paths=(1, 1),
            keys=(
                *_of_3d("psf.z_min_nm", "psf.z_max_nm"),
                ("psf", "instead of --beads: a PSF by name, for instance astigmatic_gaussian"),
                *_of_3d("calibration.z_step_nm", "calibration.z_nm", "calibration.scan"),
                *OPTICS_KEYS,
                *INDEX_KEYS,
                *CAMERA_KEYS,
                *MOVIE_KEYS,
                *_of_3d(
                    "background",
                    "snr.region",
                    "snr.size_px",
                    "snr.max_pixel_value",
                    "preset",
                    "family",
                    "trainer.max_minutes",
                    "trainer.max_steps",
                ),
                ("processes.per_machine", "processes that share the frames once the network is trained"),
                *_of_3d("refine", "decode.threshold", "decode.min_significance", "decode.max_uncertainty_nm"),
                *FINISH_KEYS,
                ("until", "last stage: calibrate, background, snr, train, test, localize"),
                *DEVICE_KEYS,
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
            entry="autods.cli.evaluate:run",
            config="evaluate",
            options=("--truth", "--out"),
            paths=(1, 1),
            keys=(
                ("radius_nm", "farthest a localization may lie from its emitter, nm"),
                ("axial_radius_nm", "the same along z, nm; null: do not look at z"),
                ("frames", "START:STOP of the frames that count; null: all"),
                ("field_nm", "HEIGHT:WIDTH of the field, nm; null: the smallest that holds both"),
                ("image_pixel_size_nm", "pixel of the images that are compared, nm"),
                ("optics.pixel_size_nm", "camera pixel, nm; for Picasso tables without their .yaml"),
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
            entry="autods.cli.train:command",
            is_swept=True,
            config="train",
            keys=(
                ("experiment", "which training, for instance zoo/mixture; of movie=: from_movie"),
                ("movie", "movie, or [list], whose density, SNR, background, PSF and noise are trained for"),
                ("profile", "instead: profile.json of autods profile"),
                ("optics.pixel_size_nm", "of the movie, nm, where its file does not state it; so camera.*"),
                ("warm_start", "shipped model, a model's folder or a checkpoint to start from; null: none"),
                ("trainer.max_minutes", "stop after so many minutes, keeping the best"),
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
            entry="autods.cli.zoo:run",
            config="zoo",
            paths=(1, 1),
            keys=(
                ("budget", "cpu: about three hours on a core; gpu: the shipped ones"),
                ("models", "folder of the models"),
                ("only", "names of some models, so that several processes share the work; null: all"),
            ),
        ),
        Command(
            name="benchmark",
            summary="measure side by side: tables and figures with machine, commit and command",
            usage="suite=NAME [-m] [--out DIR] [key=value ...]",
            entry="autods.cli.benchmark:command",
            is_swept=True,
            config="benchmark",
            options=("--out",),
            keys=(
                ("suite", "which one, of those below"),
                ("zoo", "folder of the models; null: those shipped"),
                ("picasso_python", "a Python that has picassosr, to run Picasso beside"),
                *DEVICE_KEYS,
            ),
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
            entry="autods.cli.web:run",
            config="web",
            options=("--data", "--host", "--port"),
            flags=("--no-token",),
            keys=(("max_upload_mb", "largest file that can be uploaded, MB"),),
            details=(
                "Only the folders of --data (default: the current one) can be read and written; runs go to\n"
                "autods_runs/ in the first. The printed address holds the token (AUTODS_TOKEN sets it)."
            ),
        ),
    )
}
