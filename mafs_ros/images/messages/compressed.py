"""PNG, JPEG and TIFF payloads of sensor_msgs/CompressedImage."""

import struct
from typing import Any, NamedTuple

import cv2
import numpy as np

from mafs_ros.images.messages.pixels import ImageError, _grey

# An 8K camera has 33.2 million pixels. A PNG of a few kilobytes can claim four thousand million.
MAX_COMPRESSED_PIXELS = 1 << 25
DEPTH_HEADER = 12  # bytes before the PNG (ConfigHeader of compressed_depth_image_transport)
TIFF_WIDTH, TIFF_HEIGHT, TIFF_BITS = 256, 257, 258  # tags (TIFF 6.0, section 8)


class _Payload(NamedTuple):
    """What the first bytes of a PNG, JPEG or TIFF say."""

    codec: str
    height: int
    width: int
    bits: int
    grey: bool


def rgb_from_compressed(msg: Any) -> np.ndarray:
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


def thermal_from_compressed(msg: Any) -> np.ndarray:
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
    if pixels.dtype not in (np.uint8, np.uint16, np.float32):
        raise ImageError(
            f"got a {payload.codec} of {pixels.dtype}, expected uint8, uint16 or float32: let the "
            "thermal camera publish mono16 or 32FC1"
        )
    if pixels.ndim == 2:
        return pixels
    if pixels.dtype != np.uint8:
        raise ImageError(
            f"got a PNG with {pixels.shape[2]} channels of 16 bits, expected a grey "
            "one: let the thermal camera publish mono16"
        )
    return _grey(np.ascontiguousarray(pixels[..., :3]))


def _payload_bytes(msg: Any) -> bytes:
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


def _checked_payload(data: bytes, described: str) -> _Payload:
    """What lies in `data`, told by its own first bytes; raises ImageError for what is unusable."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        payload = _png_header(data)
    elif data.startswith(b"\xff\xd8"):
        payload = _jpeg_header(data)
    elif (tiff := _tiff_header(data)) is not None:
        payload = tiff
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


def _tiff_header(data: bytes) -> _Payload | None:
    """Size and depth in the first image file directory (TIFF 6.0, section 2); None: no TIFF."""
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return None
    order = "<" if data[:2] == b"II" else ">"
    found = {}
    try:
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        for position in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(f"{order}HHI", data, position)
            if tag in (TIFF_WIDTH, TIFF_HEIGHT, TIFF_BITS):
                at, number = position + 8, "H" if kind == 3 else "I"
                if values * struct.calcsize(number) > 4:  # the values of several channels
                    (at,) = struct.unpack_from(f"{order}I", data, at)
                (found[tag],) = struct.unpack_from(f"{order}{number}", data, at)
        height, width = found[TIFF_HEIGHT], found[TIFF_WIDTH]
    except (struct.error, KeyError):
        return None
    return _Payload("TIFF", height, width, found.get(TIFF_BITS, 1), grey=False)


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
