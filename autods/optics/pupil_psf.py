"""Diffraction PSFs: from a pupil function to camera pixels (scalar and vectorial models)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from autods.core import OpticalSystem
from autods.optics.pupil import Pupil, aperture_and_wavelength
from autods.optics.zoom_fourier import (
    energy_scale,
    fourier_matrix,
    integration_matrix,
    margin_for,
    oversampling_for,
    sample_positions,
)

#: Emitters rendered at a time, to bound the memory of their pupils.
_CHUNK = 256


def propagation_phase(pupil: Pupil, xyz_nm: Tensor, nfp_nm: Tensor) -> Tensor:
    """Phase (N, P, P) that position and focus add to the pupil (design: kx x + ky y + ks z - ki NFP).

    Complex, with the evanescent decay as imaginary part, where the pupil includes supercritical rays.

    Parameters
    ----------
    pupil
        Samples of the aperture.
    xyz_nm
        (N, 3) emitters, nm.
    nfp_nm
        (N,) or scalar displacement of the objective towards the sample, nm.
    """
    k_axis = (2 * math.pi / pupil.wavelength_nm) * pupil.na_axis
    x, y, z = xyz_nm[:, 0, None, None], xyz_nm[:, 1, None, None], xyz_nm[:, 2, None, None]
    lateral = k_axis * x + k_axis[:, None] * y
    focus = nfp_nm.expand(len(xyz_nm))[:, None, None]
    if not pupil.kz_sample.is_complex():
        return lateral + pupil.kz_sample * z - pupil.kz_immersion * focus
    # Evanescent light decays with the distance from the coverslip, whatever its sign.
    travelled = torch.complex(pupil.kz_sample.real * z, pupil.kz_sample.imag * z.abs())
    return travelled + lateral - pupil.kz_immersion * focus


def render_fields(
    fields: Tensor, pupil: Pupil, size_px: int, pixel_size_nm: float, oversampling: int, blur_sigma_nm: Tensor
) -> Tensor:
    """Pixel-integrated, blurred images (N, S, S) of pupil fields (N, C, P, P), summed over the C components.

    Each image integrates to 1 over the infinite plane.
    """
    margin = margin_for(float(blur_sigma_nm.detach().max()), pixel_size_nm)
    positions = sample_positions(size_px, margin, oversampling, pixel_size_nm)
    kernel = fourier_matrix(pupil.na_axis, positions.to(fields.device), pupil.wavelength_nm)
    half = fields @ kernel.T  # (N, C, Py, Fx)
    amplitude = half.transpose(-1, -2) @ kernel.T  # (N, C, Fx, Fy): two large products instead of many small
    intensity = (amplitude.real.square() + amplitude.imag.square()).sum(1)
    # The aperture is a quadrature weight w: the field holds w P, the energy is the sum of w |P|^2.
    weight = torch.where(pupil.aperture > 0, 1 / pupil.aperture.clamp(min=1e-6), 0)
    energy = ((fields.real.square() + fields.imag.square()) * weight).sum((1, 2, 3))
    scale = energy_scale(energy, pupil.na_axis, pupil.wavelength_nm)
    weights = integration_matrix(size_px, margin, oversampling, pixel_size_nm, blur_sigma_nm)
    image = (weights @ intensity @ weights.T).transpose(-1, -2)
    return image * scale[:, None, None]


def _register(module: nn.Module, name: str, value: Tensor) -> None:
    """Keep a Parameter as such, anything else as a buffer."""
    if isinstance(value, nn.Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


class PupilPSF(nn.Module, ABC):
    """Base of the diffraction models: holds the pupil, its phase and amplitude, blur and focal plane.

    Raises `UserError` if the optics lack the aperture or the wavelength.

    Parameters
    ----------
    optics
        Microscope; `na` and `wavelength_nm` must be known. `optics.nfp_nm` is the default focal plane.
    phase
        (P, P) pupil phase in radians (engineered mask and aberrations), rows along y; None for a flat one.
        A `Parameter` stays trainable. P sets the sampling of the pupil.
    amplitude
        (P, P) amplitude factor; None for 1.
    blur_sigma_nm
        Standard deviation of the Gaussian blur of the image, nm.
    pupil_px
        P, in pixels of the pupil, when neither phase nor amplitude is given.
    supercritical
        See `Pupil.sample`.
    """

    pixel_size_nm: float
    phase: Tensor
    amplitude: Tensor
    blur_sigma_nm: Tensor
    nfp_nm: Tensor

    def __init__(
        self,
        optics: OpticalSystem,
        phase: Tensor | None = None,
        amplitude: Tensor | None = None,
        blur_sigma_nm: float | Tensor = 0.0,
        pupil_px: int = 64,
        supercritical: bool = False,
    ) -> None:
        super().__init__()
        given = phase if phase is not None else amplitude
        pupil_px = pupil_px if given is None else given.shape[-1]
        na, wavelength = aperture_and_wavelength(optics)
        self.optics, self.supercritical = optics, supercritical
        self.pixel_size_nm = optics.pixel_size_nm
        self.oversampling = oversampling_for(optics.pixel_size_nm, wavelength, na)
        pupil = Pupil.sample(optics, pupil_px, supercritical)
        for name, tensor in vars(pupil).items():
            if isinstance(tensor, Tensor):
                self.register_buffer(f"_pupil_{name}", tensor, persistent=False)
        flat = torch.zeros(pupil_px, pupil_px)
        _register(self, "phase", flat if phase is None else phase)
        _register(self, "amplitude", flat + 1 if amplitude is None else amplitude)
        _register(self, "blur_sigma_nm", torch.as_tensor(blur_sigma_nm, dtype=torch.float32))
        _register(self, "nfp_nm", torch.tensor(float(optics.nfp_nm)))

    @property
    def pupil(self) -> Pupil:
        """The sampled pupil, on the module's device."""
        tensors = {name[7:]: buffer for name, buffer in self.named_buffers() if name.startswith("_pupil_")}
        return Pupil(wavelength_nm=aperture_and_wavelength(self.optics)[1], **tensors)

    @abstractmethod
    def fields(self, pupil: Pupil, propagation: Tensor) -> Tensor:
        """Pupil fields (N, C, P, P) for propagation phases (N, P, P)."""

    def forward(self, xyz_nm: Tensor, size_px: int, nfp_nm: Tensor | None = None) -> Tensor:
        """Render emitters; see `PSFModel`.

        Parameters
        ----------
        xyz_nm
            (N, 3) positions, nm.
        size_px
            Side of the region, px.
        nfp_nm
            (N,) focal plane of each image instead of the model's own, for objective-scanned stacks, nm.
        """
        pupil = self.pupil
        xyz_nm = xyz_nm.to(pupil.u.dtype)
        focus = (self.nfp_nm if nfp_nm is None else nfp_nm).expand(len(xyz_nm))
        images = [
            render_fields(
                self.fields(pupil, propagation_phase(pupil, xyz, nfp)),
                pupil,
                size_px,
                self.pixel_size_nm,
                self.oversampling,
                self.blur_sigma_nm,
            )
            for xyz, nfp in zip(torch.split(xyz_nm, _CHUNK), torch.split(focus, _CHUNK), strict=True)
        ]
        return torch.cat(images)


class ScalarPSF(PupilPSF):
    """Scalar diffraction through a refractive-index mismatch.

    ``E = aperture * amplitude * exp(i (phase + kx x + ky y + k_s cos(theta_s) z - k_i cos(theta_i) NFP))``,
    image ``|F{E}|^2``, pixel-integrated and blurred (Nehme et al., Nature Methods 17, 734 (2020)).
    """

    def fields(self, pupil: Pupil, propagation: Tensor) -> Tensor:
        """Scalar pupil field (N, 1, P, P)."""
        total = self.phase + propagation
        modulus = pupil.aperture * self.amplitude
        if total.is_complex():
            modulus = modulus * torch.exp(-total.imag)
            total = total.real
        return torch.complex(modulus * torch.cos(total), modulus * torch.sin(total))[:, None]


class VectorialPSF(PupilPSF):
    """Vectorial diffraction of a freely rotating dipole.

    The incoherent sum over three orthogonal dipoles and two polarisations, with Fresnel transmission between
    sample and immersion and the objective's apodisation (Mortensen et al., Nature Methods 7, 377 (2010);
    Siemons et al., Optics Express 26, 8397 (2018)). Parameters as in `PupilPSF`.
    """

    def fields(self, pupil: Pupil, propagation: Tensor) -> Tensor:
        """Six pupil fields (N, 6, P, P): dipoles x, y, z, each in polarisations x, y."""
        vectors = dipole_fields(pupil, self.optics.n_sample, self.optics.n_immersion)
        modulus = pupil.aperture * self.amplitude
        common = modulus * torch.exp(1j * (self.phase + propagation))
        return common[:, None] * vectors


def dipole_fields(pupil: Pupil, n_sample: float, n_immersion: float) -> Tensor:
    """Pupil fields (6, P, P) of dipoles along x, y, z in polarisations x, y (in this order), complex.

    See `vector_fields`.
    """
    sine = torch.hypot(*torch.meshgrid(pupil.na_axis, pupil.na_axis, indexing="ij")) / n_sample
    return vector_fields(pupil.u, pupil.v, sine, pupil.cos_sample, pupil.cos_immersion, n_sample, n_immersion)


def vector_fields(
    u: Tensor,
    v: Tensor,
    sin_sample: Tensor,
    cos_sample: Tensor,
    cos_immersion: Tensor,
    n_sample: float | Tensor,
    n_immersion: float | Tensor,
) -> Tensor:
    """Dipole fields (..., 6, P, P) of pupils (..., P, P), of which the indices may be (..., 1, 1).

    Normalised to 1 at the pupil's centre for the dipole along x. The factor ``1 / cos(theta_sample)`` of the
    plane-wave spectrum is divided out of the Fresnel coefficients, which stay finite at the critical angle.
    """
    cos_s, cos_i, sin_s = cos_sample.to(torch.complex64), cos_immersion, sin_sample
    phi = torch.atan2(v, u)
    cos_phi, sin_phi = torch.cos(phi), torch.sin(phi)
    total = n_sample + n_immersion
    # Fresnel t_s / cos_s and t_p / cos_s, scaled to 1 on axis, times sqrt(cos_i) of the sine condition.
    apodisation = cos_i.sqrt()
    t_s = apodisation * total / (n_sample * cos_s + n_immersion * cos_i)
    t_p = apodisation * total / (n_immersion * cos_s + n_sample * cos_i)
    radial_x = t_p * cos_s
    mixed = (radial_x - t_s) * sin_phi * cos_phi
    return torch.stack(
        [
            radial_x * cos_phi**2 + t_s * sin_phi**2,
            mixed,
            mixed,
            radial_x * sin_phi**2 + t_s * cos_phi**2,
            -t_p * sin_s * cos_phi,
            -t_p * sin_s * sin_phi,
        ],
        -3,
    )
