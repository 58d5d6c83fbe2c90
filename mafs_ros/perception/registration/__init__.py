"""Registration: bringing the thermal image onto the pixels of the RGB image."""

from mafs_ros.perception.registration.cameras import CameraRegistration
from mafs_ros.perception.registration.file import load_registration
from mafs_ros.perception.registration.homography import Registration, registration_from_cameras
from mafs_ros.perception.registration.rig import Rig

__all__ = [
    "CameraRegistration",
    "Registration",
    "Rig",
    "load_registration",
    "registration_from_cameras",
]
