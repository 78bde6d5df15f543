"""What a file was found to be, for people."""

from __future__ import annotations

from autods.io.base import Movie

_CAMERA = (
    ("offset_adu", "offset {:g} ADU"),
    ("e_per_adu", "{:g} e/ADU"),
    ("em_gain", "EM gain {:g}"),
    ("qe", "quantum efficiency {:g}"),
    ("read_noise_e", "read noise {:g} e"),
    ("exposure_ms", "exposure {:g} ms"),
)
_OPTICS = (("wavelength_nm", "emission {:g} nm"), ("na", "NA {:g}"))


def describe_movie(movie: Movie) -> list[tuple[str, str]]:
    """Say what a file holds, what is read of it, and what it states of microscope and camera.

    Returns name and text of each line: format, series, frames, pixel size, optics, camera, notes.
    """
    stated, contents = movie.metadata, movie.contents
    n_frames, height, width = movie.shape
    known = stated.known()
    lines = [
        ("format", contents.kind or "array"),
        ("series", ", ".join(f"{n} {name}" for name, n in contents.axes) or "one image"),
        ("read", f"{n_frames} frames of {height} x {width} px, {movie.dtype}"),
        ("pixel size", _pixel(known, stated.source)),
    ]
    for name, table in (("optics", _OPTICS), ("camera", _CAMERA)):
        found = ", ".join(text.format(known[key]) for key, text in table if key in known)
        lines.append((name, f"{found} ({stated.source})" if found else "nothing stated"))
    return lines + [("note", note) for note in (*contents.notes, *stated.notes)]


def _pixel(known: dict[str, float], source: str) -> str:
    if "pixel_size_nm" not in known:
        return "not stated: give optics.pixel_size_nm=NM"
    if "pixel_size_y_nm" in known:
        return f"{known['pixel_size_nm']:g} nm along x, {known['pixel_size_y_nm']:g} nm along y ({source})"
    return f"{known['pixel_size_nm']:.4g} nm ({source})"
