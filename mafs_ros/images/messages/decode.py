"""Image messages to numpy arrays and back.

`rgb_from_message` and `thermal_from_message` take sensor_msgs Image and CompressedImage,
`depth_from_message` Image, from rclpy, `cdr.read_image` or a bag reader: only the fields are used.
Whatever is wrong with a message is an ImageError that says what was got, what was expected and
what to do; nothing is read beyond the message's data, and nothing is decoded that would fill the
memory.
"""

import functools
from typing import Any

import cv2
import numpy as np

from mafs_ros.images.messages.compressed import rgb_from_compressed, thermal_from_compressed
from mafs_ros.images.messages.encodings import RGB_ENCODINGS, THERMAL_ENCODINGS
from mafs_ros.images.messages.pixels import ImageError, grey, native


def rgb_from_message(msg: Any) -> np.ndarray:
    """RGB image of a sensor_msgs/Image or CompressedImage: uint8 [H, W, 3], contiguous.

    A grey camera gives three equal channels. An unpadded rgb8 message is not copied: the array
    shares the memory of the message, so do not write to it. Raises ImageError.
    """
    if hasattr(msg, "format"):
        return rgb_from_compressed(msg)
    if msg.encoding in RGB_ENCODINGS:
        return _rgb_from_raw(msg)
    if msg.encoding in ("mono16", "16UC1", "32FC1"):
        raise ImageError(
            f"got encoding {msg.encoding} from the RGB camera, expected 8-bit colour "
            "or grey: are the RGB and thermal topics swapped?"
        )
    if msg.encoding in ("8UC3", "8UC4"):
        raise ImageError(
            f"encoding {msg.encoding} does not say the order of its channels: let "
            "the RGB camera publish rgb8 or bgr8"
        )
    rgb = _through_cv_bridge(msg, "rgb8", RGB_ENCODINGS)
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ImageError(
            f"cv_bridge made {rgb.dtype} {list(rgb.shape)} of encoding "
            f"{msg.encoding}, expected uint8 [H, W, 3]"
        )
    return np.ascontiguousarray(rgb)


def thermal_from_message(msg: Any) -> np.ndarray:
    """Thermal image of a sensor_msgs/Image or CompressedImage: [H, W], contiguous.

    uint8, uint16 or float32 with the values of the message, in the byte order of this machine.
    Colour encodings are taken where their channels are equal (a grey image in rgb8); false colours
    are refused, since they cannot be turned back into temperatures. An unpadded grey message is
    not copied: the array shares its memory, so do not write to it. Raises ImageError.
    """
    if hasattr(msg, "format"):
        return thermal_from_compressed(msg)
    if msg.encoding in THERMAL_ENCODINGS:
        return native(raw_pixels(msg, THERMAL_ENCODINGS[msg.encoding], 1))
    if msg.encoding == "8UC3":  # equal channels are the same image in either order
        return grey(np.ascontiguousarray(raw_pixels(msg, np.uint8, 3)))
    if msg.encoding in RGB_ENCODINGS and not msg.encoding.startswith("bayer"):
        return grey(_rgb_from_raw(msg))
    if msg.encoding.startswith("bayer"):  # cv_bridge would pass the pattern off as grey
        raise ImageError(
            f"got encoding {msg.encoding} from the thermal camera, expected one of "
            f"{', '.join(THERMAL_ENCODINGS)}: are the RGB and thermal topics swapped?"
        )
    thermal = _through_cv_bridge(msg, "passthrough", THERMAL_ENCODINGS)
    if thermal.ndim != 2 or thermal.dtype not in (np.uint8, np.uint16, np.float32):
        raise ImageError(
            f"got encoding {msg.encoding} from the thermal camera, "
            f"expected one of {', '.join(THERMAL_ENCODINGS)}"
        )
    return native(thermal)


def depth_from_message(msg: Any) -> np.ndarray:
    """Depth of a sensor_msgs/Image in metres: float32 [H, W], contiguous.

    16UC1 is in millimetres, 32FC1 in metres (REP 118); 0 and NaN, no depth, stay. Raises
    ImageError.
    """
    if msg.encoding in ("16UC1", "mono16"):
        return native(raw_pixels(msg, np.uint16, 1)).astype(np.float32) * np.float32(0.001)
    if msg.encoding == "32FC1":
        return native(raw_pixels(msg, np.float32, 1))
    raise ImageError(
        f"got encoding {msg.encoding!r} for depth, expected 16UC1 in millimetres or 32FC1 in "
        "metres: is depth_topic the topic of the aligned depth image?"
    )


def raw_pixels(msg: Any, dtype: type, channels: int) -> np.ndarray:
    """The pixels of a raw message where they lie: [H, W] or [H, W, channels], rows `step` apart.

    16-bit and float pixels are in the byte order of the message. Raises ImageError where the
    message does not hold them all.
    """
    pixel_type = np.dtype(dtype).newbyteorder(">" if msg.is_bigendian else "<")
    height, width, step = int(msg.height), int(msg.width), int(msg.step)
    row = width * channels * pixel_type.itemsize
    if height <= 0 or width <= 0:
        raise ImageError(
            f"got an image of {width}x{height} pixels, expected at least 1x1: "
            "is the camera running?"
        )
    if step < row:
        raise ImageError(
            f"got step {step}, expected at least {row} bytes for {width} pixels of "
            f"{msg.encoding}: the camera driver must set step to its row length"
        )
    # The padding of the last row may be missing.
    needed = (height - 1) * step + row
    if len(msg.data) < needed:
        raise ImageError(
            f"got {len(msg.data)} bytes of data, expected {needed} for "
            f"{width}x{height} {msg.encoding} with step {step}: the message is cut "
            "short; check the camera driver and the transport"
        )
    pixels: np.ndarray = np.ndarray(
        (height, width, channels),
        pixel_type,
        msg.data,
        strides=(step, channels * pixel_type.itemsize, pixel_type.itemsize),
    )
    return pixels[..., 0] if channels == 1 else pixels


def _rgb_from_raw(msg: Any) -> np.ndarray:
    channels, conversion = RGB_ENCODINGS[msg.encoding]
    pixels = raw_pixels(msg, np.uint8, channels)
    if conversion is None:
        return np.ascontiguousarray(pixels)
    if channels == 2 and pixels.shape[1] % 2:
        raise ImageError(
            f"got a width of {pixels.shape[1]} pixels, expected an even one for "
            f"{msg.encoding}, where two pixels share a colour"
        )
    return cv2.cvtColor(pixels, conversion)


@functools.cache
def _cv_bridge() -> tuple[Any, str]:
    """(CvBridge, '') or (None, why not); looked for once, and only when an encoding needs it."""
    try:
        from cv_bridge import CvBridge

        return CvBridge(), ""
    except Exception as error:  # built for another NumPy it raises more than ImportError
        return None, f"{type(error).__name__}: {error}"


def _through_cv_bridge(msg: Any, desired: str, known: Any) -> np.ndarray:
    bridge, reason = _cv_bridge()
    if bridge is None:
        raise ImageError(
            f"got encoding {msg.encoding!r}, expected one of {', '.join(known)}: set "
            "the camera to one of them, or install cv_bridge for others "
            f"(not used: {reason})"
        )
    if min(msg.height, msg.width) <= 0 or len(msg.data) < msg.height * msg.step:
        raise ImageError(
            f"got {len(msg.data)} bytes of data for {msg.width}x{msg.height} "
            f"{msg.encoding}, expected {msg.height * msg.step} (height x step) and "
            "a size of at least 1x1"
        )
    try:
        return bridge.imgmsg_to_cv2(msg, desired_encoding=desired)
    except Exception as error:  # CvBridgeError, and KeyError or TypeError out of its tables
        raise ImageError(
            f"got encoding {msg.encoding!r}, expected one of {', '.join(known)}: "
            f"cv_bridge cannot convert it ({error})"
        ) from error
