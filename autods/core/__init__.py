"""Types that all packages share: optics, camera, emitters, localization tables, coordinates, errors."""

from autods.core.camera import Camera
from autods.core.emitters import EmitterBatch
from autods.core.errors import Interrupted, UserError
from autods.core.optical_system import OpticalSystem
from autods.core.table import LocalizationTable

__all__ = ["Camera", "EmitterBatch", "Interrupted", "LocalizationTable", "OpticalSystem", "UserError"]
