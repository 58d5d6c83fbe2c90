"""Image messages to numpy arrays and back.

`rgb_from_message` and `thermal_from_message` take sensor_msgs Image and CompressedImage, from
rclpy, `cdr.read_image` or a bag reader: only the fields are used. Whatever is wrong with a
message is an ImageError that says what was got, what was expected and what to do; nothing is read
beyond the message's data, and nothing is decoded that would fill the memory.
"""

import functools
from typing import Any, NamedTuple

import cv2
import numpy as np

from mafs_ros.cdr import write_image

# An 8K camera has 33.2 million pixels. A PNG of a few kilobytes can claim four thousand million.
MAX_COMPRESSED_PIXELS = 1 << 25

# Encoding -> channels in the message, conversion to RGB. OpenCV names a Bayer pattern by the
# second and third pixel of its second row: its BG is what ROS and camera makers call RGGB.
RGB_ENCODINGS: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, cv2.COLOR_GRAY2RGB),
    "bayer_rggb8": (1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": (1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGB2RGB),
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": (2, cv2.COLOR_YUV2RGB_YUY2),
}
THERMAL_ENCODINGS: dict[str, type] = {
    "mono8": np.uint8,
    "8UC1": np.uint8,
    "mono16": np.uint16,
    "16UC1": np.uint16,
    "32FC1": np.float32,
}
# What image_message writes: encoding -> type, channels.
OUTPUT_ENCODINGS: dict[str, tuple[type, int]] = {
    "rgb8": (np.uint8, 3),
    "bgr8": (np.uint8, 3),
    **{name: (dtype, 1) for name, dtype in THERMAL_ENCODINGS.items()},
}

# A thermal image in three channels counts as grey while at most 1 % of its pixels (a crosshair, a
# scale) have channels further apart than JPEG leaves them.
GREY_SPREAD = 16
GREY_EXCEPTIONS = 0.01


class ImageError(ValueError):
    """A message holds no usable image; the text says what was got, expected, and what to do."""


def rgb_from_message(msg: Any) -> np.ndarray:
    """RGB image of a sensor_msgs/Image or CompressedImage: uint8 [H, W, 3], contiguous.

    A grey camera gives three equal channels. An unpadded rgb8 message is not copied: the array
    shares the memory of the message, so do not write to it. Raises ImageError.
    """
    if hasattr(msg, "format"):
        return _rgb_from_compressed(msg)
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
        return _thermal_from_compressed(msg)
    if msg.encoding in THERMAL_ENCODINGS:
        return _native(_pixels(msg, THERMAL_ENCODINGS[msg.encoding], 1))
    if msg.encoding == "8UC3":  # equal channels are the same image in either order
        return _grey(np.ascontiguousarray(_pixels(msg, np.uint8, 3)))
    if msg.encoding in RGB_ENCODINGS and not msg.encoding.startswith("bayer"):
        return _grey(_rgb_from_raw(msg))
    thermal = _through_cv_bridge(msg, "passthrough", THERMAL_ENCODINGS)
    if thermal.ndim != 2 or thermal.dtype not in (np.uint8, np.uint16, np.float32):
        raise ImageError(
            f"got encoding {msg.encoding} from the thermal camera, "
            f"expected one of {', '.join(THERMAL_ENCODINGS)}"
        )
    return _native(thermal)


def serialised_image(array: np.ndarray, encoding: str, header: Any) -> bytes:
    """A serialised sensor_msgs/Image with a copy of `array` and of `header`, to be published.

    array: [H, W, 3] for rgb8 and bgr8, [H, W] for mono8, 8UC1, mono16, 16UC1 and 32FC1, of the
    encoding's type. Raises ImageError where array and encoding do not fit.
    """
    if encoding not in OUTPUT_ENCODINGS:
        raise ImageError(f"got encoding {encoding}, expected one of {', '.join(OUTPUT_ENCODINGS)}")
    dtype, channels = OUTPUT_ENCODINGS[encoding]
    shape = "[H, W, 3]" if channels == 3 else "[H, W]"
    fits = array.shape[2:] == (3,) if channels == 3 else array.ndim == 2
    if not fits or array.dtype.newbyteorder("=") != dtype or array.size == 0:
        raise ImageError(
            f"got {array.dtype} {list(array.shape)} for encoding {encoding}, "
            f"expected {np.dtype(dtype)} {shape}"
        )
    pixels: np.ndarray = np.ascontiguousarray(array, dtype)
    height, width = pixels.shape[:2]
    return write_image(
        (header.stamp.sec, header.stamp.nanosec),
        header.frame_id,
        height,
        width,
        encoding,
        pixels.strides[0],
        pixels.data.cast("B"),
    )


# Raw images


def _pixels(msg: Any, dtype: type, channels: int) -> np.ndarray:
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
    pixels = _pixels(msg, np.uint8, channels)
    if conversion is None:
        return np.ascontiguousarray(pixels)
    if channels == 2 and pixels.shape[1] % 2:
        raise ImageError(
            f"got a width of {pixels.shape[1]} pixels, expected an even one for "
            f"{msg.encoding}, where two pixels share a colour"
        )
    return cv2.cvtColor(pixels, conversion)


def _native(pixels: np.ndarray) -> np.ndarray:
    """Contiguous, aligned, in the byte order of this machine; copied only where it is not yet."""
    return np.require(pixels, pixels.dtype.newbyteorder("="), ["C", "A"])


def _grey(rgb: np.ndarray) -> np.ndarray:
    """The one channel of a grey image in three: uint8 [H, W]. Raises ImageError for colours."""
    red, green, blue = cv2.split(rgb)
    spread = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
    coloured = np.count_nonzero(spread > GREY_SPREAD) / spread.size
    if coloured > GREY_EXCEPTIONS:
        raise ImageError(
            f"got a thermal image in false colours ({coloured:.0%} of its pixels are "
            "not grey), expected grey: set the camera to mono16, 16UC1 or mono8, or "
            "to its white-hot palette"
        )
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


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


# Compressed images


class _Payload(NamedTuple):
    """What the first bytes of a PNG or JPEG say."""

    codec: str
    height: int
    width: int
    bits: int
    grey: bool


def _rgb_from_compressed(msg: Any) -> np.ndarray:
    data = _payload_bytes(msg)
    payload = _checked_payload(data, msg.format)
    if payload.grey and payload.bits == 16:
        raise ImageError(
            "got a 16-bit grey PNG from the RGB camera, expected 8-bit colour or "
            "grey: are the RGB and thermal topics swapped?"
        )
    # Pixels stay where the sensor has them, as calibrated: no turning by an EXIF entry.
    pixels = _decoded(data, payload, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    # "ENCODING; jpeg compressed rgb8": channels were swapped before encoding (see the subscriber
    # of compressed_image_transport).
    if "compressed rgb" in msg.format:
        return pixels
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _thermal_from_compressed(msg: Any) -> np.ndarray:
    data = _payload_bytes(msg)
    payload = _checked_payload(data, msg.format)
    source = msg.format.partition(";")[0].strip()  # "16UC1; jpeg compressed mono8" -> "16UC1"
    bits = next((bits for bits in (64, 32, 16) if str(bits) in source), 8)
    if payload.bits < bits > 8:
        raise ImageError(
            f"got a {payload.codec} that keeps {payload.bits} of the {bits} bits of "
            f"a {source} thermal image, expected a 16-bit PNG: set the parameter "
            "TOPIC.compressed.format of the camera to png, or use the raw transport"
        )
    pixels = _decoded(data, payload, cv2.IMREAD_UNCHANGED)
    if pixels.ndim == 2:
        return pixels
    if pixels.dtype != np.uint8:
        raise ImageError(
            f"got a PNG with {pixels.shape[2]} channels of 16 bits, expected a grey "
            "one: let the thermal camera publish mono16"
        )
    return _grey(np.ascontiguousarray(pixels[..., :3]))


def _payload_bytes(msg: Any) -> bytes:
    if "compressedDepth" in msg.format:
        raise ImageError(
            f"got format {msg.format!r}, expected JPEG or PNG: subscribe to the "
            "topic that ends in /compressed (format png), not in /compressedDepth"
        )
    return bytes(msg.data)


def _checked_payload(data: bytes, described: str) -> _Payload:
    """What lies in `data`, told by its own first bytes; raises ImageError for what is unusable."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        payload = _png_header(data)
    elif data.startswith(b"\xff\xd8"):
        payload = _jpeg_header(data)
    else:
        raise ImageError(
            f"got {len(data)} bytes of format {described!r} that are neither JPEG "
            "nor PNG, expected one of them: set the compressed format of the camera "
            "to jpeg or png"
        )
    if payload.height <= 0 or payload.width <= 0:
        raise ImageError(
            f"got a {payload.codec} of {payload.width}x{payload.height} pixels, "
            "expected at least 1x1"
        )
    if payload.height * payload.width > MAX_COMPRESSED_PIXELS:
        raise ImageError(
            f"got a {payload.codec} of {payload.width}x{payload.height} pixels, "
            f"expected at most {MAX_COMPRESSED_PIXELS} pixels: it is not decoded, "
            "for it could fill the memory"
        )
    return payload


def _png_header(data: bytes) -> _Payload:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise _cut_short("PNG", data)
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    bits, colour_type = data[24], data[25]
    if data.rfind(b"IEND") < 0:
        raise _cut_short("PNG", data)
    return _Payload("PNG", height, width, bits, grey=colour_type in (0, 4))


def _jpeg_header(data: bytes) -> _Payload:
    """Walk the segments up to the frame header (SOF, ITU-T T.81 B.2.2)."""
    position = 2
    while position + 10 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame = data[position + 4 : position + 10]
            # Older OpenCV makes the missing part of a cut image grey, without an error.
            if data.rfind(b"\xff\xd9") < position:
                break
            return _Payload(
                "JPEG",
                int.from_bytes(frame[1:3], "big"),
                int.from_bytes(frame[3:5], "big"),
                frame[0],
                grey=frame[5] == 1,
            )
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise _cut_short("JPEG", data)


def _cut_short(codec: str, data: bytes) -> ImageError:
    return ImageError(
        f"got {len(data)} bytes of a {codec}, expected a whole one: the image is "
        "cut short or damaged; check the camera driver and the transport"
    )


def _decoded(data: bytes, payload: _Payload, flags: int) -> np.ndarray:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f"got a {payload.codec} that OpenCV cannot decode: {error}") from error
    if pixels is None:
        raise ImageError(
            f"got a {payload.codec} of {len(data)} bytes that OpenCV cannot decode, "
            "expected a whole one: check the camera driver and the transport"
        )
    return pixels
