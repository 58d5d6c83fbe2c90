"""PNG, JPEG and TIFF payloads of sensor_msgs/CompressedImage."""

from typing import Any

import cv2
import numpy as np

from mafs_ros.images.codecs.header import JPEG_START, PNG_START, Header, read_header
from mafs_ros.images.codecs.opencv import decode
from mafs_ros.images.codecs.tiff import is_tiff, read_tiff, tiff_header
from mafs_ros.images.messages.pixels import ImageError, grey

# An 8K camera has 33.2 million pixels. A PNG of a few kilobytes can claim four thousand million.
MAX_COMPRESSED_PIXELS = 1 << 25
SMALL = 240  # pixels; a smaller JPEG is decoded whole even where a glimpse will do
DEPTH_HEADER = 12  # bytes before the PNG (ConfigHeader of compressed_depth_image_transport)


def rgb_from_compressed(msg: Any) -> np.ndarray:
    data = payload_bytes(msg)
    header = _checked_header(data, msg.format)
    if header.grey and header.bits == 16:
        raise ImageError(
            "got a 16-bit grey PNG from the RGB camera, expected 8-bit colour or "
            "grey: are the RGB and thermal topics swapped?"
        )
    pixels = _decoded(data, header, cv2.IMREAD_COLOR)
    # "ENCODING; jpeg compressed rgb8": channels were swapped before encoding (see the subscriber
    # of compressed_image_transport).
    if "compressed rgb" in msg.format:
        return pixels
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def thermal_from_compressed(msg: Any) -> np.ndarray:
    data = payload_bytes(msg)
    header = _checked_header(data, msg.format)
    source = msg.format.partition(";")[0].strip()  # "16UC1; jpeg compressed mono8" -> "16UC1"
    bits = next((bits for bits in (64, 32, 16) if str(bits) in source), 8)
    if header.bits < bits > 8:
        raise ImageError(
            f"got a {header.codec} that keeps {header.bits} of the {bits} bits of "
            f"a {source} thermal image, expected a 16-bit PNG: set the parameter "
            "TOPIC.compressed.format of the camera to png, or use the raw transport"
        )
    pixels = _decoded(data, header, cv2.IMREAD_UNCHANGED)
    if pixels.dtype not in (np.uint8, np.uint16, np.float32):
        raise ImageError(
            f"got a {header.codec} of {pixels.dtype}, expected uint8, uint16 or float32: let the "
            "thermal camera publish mono16 or 32FC1"
        )
    if pixels.ndim == 2:
        return pixels
    pixels = np.ascontiguousarray(pixels[..., :3])  # without alpha
    if pixels.dtype == np.uint8:
        return grey(pixels)
    if np.any(pixels != pixels[..., :1]):
        raise ImageError(
            "got a PNG with 3 different channels of 16 bits, expected a grey "
            "one: let the thermal camera publish mono16"
        )
    return np.ascontiguousarray(pixels[..., 0])


def decoded_plane(msg: Any) -> np.ndarray:
    """Luminance or the only channel [H, W], of a large JPEG at a quarter of its size.

    Enough to see whether it shows anything. Raises ImageError.
    """
    data = payload_bytes(msg)
    header = _checked_header(data, msg.format)
    if header.codec != "JPEG":
        pixels = _decoded(data, header, cv2.IMREAD_UNCHANGED)
        return pixels if pixels.ndim == 2 else pixels[..., 1]
    large = min(header.height, header.width) >= SMALL
    flags = cv2.IMREAD_REDUCED_GRAYSCALE_4 if large else cv2.IMREAD_GRAYSCALE
    return _decoded(data, header, flags)


def payload_bytes(msg: Any) -> bytes:
    """The file in a message; of compressedDepth that of 16UC1, whose values are those taken."""
    data = bytes(msg.data)
    if "compressedDepth" not in msg.format:
        return data
    source = msg.format.partition(";")[0].strip()
    if source in ("16UC1", "mono16") and data[DEPTH_HEADER:].startswith(b"\x89PNG"):
        return data[DEPTH_HEADER:]
    raise ImageError(
        f"got format {msg.format!r}, expected JPEG or PNG: subscribe to the "
        "topic that ends in /compressed (format png), not in /compressedDepth"
    )


def _checked_header(data: bytes, described: str) -> Header:
    """What lies in `data`, told by its own first bytes; raises ImageError for what is unusable."""
    if not data.startswith((PNG_START, JPEG_START)) and not is_tiff(data):
        raise ImageError(
            f"got {len(data)} bytes of format {described!r} that are neither JPEG "
            "nor PNG, expected one of them: set the compressed format of the camera "
            "to jpeg or png"
        )
    header = tiff_header(data) if is_tiff(data) else read_header(data)
    if header is None:
        codec = "PNG" if data.startswith(PNG_START) else "TIFF" if is_tiff(data) else "JPEG"
        raise _cut_short(codec, data)
    if header.height <= 0 or header.width <= 0:
        raise ImageError(
            f"got a {header.codec} of {header.width}x{header.height} pixels, expected at least 1x1"
        )
    if header.height * header.width > MAX_COMPRESSED_PIXELS:
        raise ImageError(
            f"got a {header.codec} of {header.width}x{header.height} pixels, "
            f"expected at most {MAX_COMPRESSED_PIXELS} pixels: it is not decoded, "
            "for it could fill the memory"
        )
    if not header.whole:
        raise _cut_short(header.codec, data)
    return header


def _cut_short(codec: str, data: bytes) -> ImageError:
    return ImageError(
        f"got {len(data)} bytes of a {codec}, expected a whole one: the image is "
        "cut short or damaged; check the camera driver and the transport"
    )


def _decoded(data: bytes, header: Header, flags: int) -> np.ndarray:
    tiff = read_tiff(data)
    pixels = decode(tiff.upright if tiff else data, flags)
    if pixels is None:
        raise ImageError(
            f"got a {header.codec} of {len(data)} bytes that OpenCV cannot decode, "
            "expected a whole one: check the camera driver and the transport"
        )
    return pixels
