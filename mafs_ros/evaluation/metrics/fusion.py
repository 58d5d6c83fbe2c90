"""Scores of fused images.

Fusion metrics follow the evaluator of CDDFuse (Zhaozixiang1228/MMIF-CDDFuse,
`utils/Evaluator.py`), to which EMMA and the MAFS paper refer. They take single-channel grey
images: uint8 [H,W], or floats in 0..255, which are rounded by numpy.round to what an 8-bit file
would hold. Nothing is stretched. `hot`, `weaker` and `glare` are this project's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.evaluation.metrics.grey import GreyImage, as_luminance, checked_grey, checked_greys

FUSION_METRICS = (
    'EN', 'SD', 'SF', 'AG', 'AG_forward', 'VIF', 'Qabf', 'hot', 'weaker', 'glare',
)  # fmt: skip

# What four Gaussian windows of 17, 9, 5 and 3 taps with 'valid' borders need of each side.
VIF_MIN_SIZE = 41


def entropy(img: GreyImage) -> float:
    """EN: entropy of the 256-bin grey histogram in bit. img: grey [H,W]. Range 0..8."""
    counts = np.bincount(checked_grey(img).ravel(), minlength=256)
    p = counts[counts > 0] / counts.sum()
    return float(-np.sum(p * np.log2(p))) + 0.0  # + 0.0 turns the -0.0 of a flat image into 0.0


def standard_deviation(img: GreyImage) -> float:
    """SD: population standard deviation (ddof 0). img: grey [H,W]. Range 0..127.5."""
    return float(checked_grey(img).std())


def spatial_frequency(img: GreyImage) -> float:
    """SF: sqrt(mean(dx^2) + mean(dy^2)), neighbour differences. img: grey [H,W], at least 2x2."""
    f = checked_grey(img, min_size=2).astype(np.float64)
    return float(np.sqrt(np.mean(np.diff(f, axis=1) ** 2) + np.mean(np.diff(f, axis=0) ** 2)))


def average_gradient(
    img: GreyImage, differences: Literal["central", "forward"] = "central"
) -> float:
    """AG: mean of sqrt((gx^2 + gy^2) / 2). img: grey [H,W], at least 2x2.

    differences: 'central' (numpy.gradient, one-sided at the borders, mean over H*W; the
    reference) or 'forward' (neighbour differences, mean over (H-1)*(W-1); about a fifth higher,
    found in published tables).
    """
    f = checked_grey(img, min_size=2).astype(np.float64)
    if differences == "central":
        gy, gx = np.gradient(f)
    elif differences == "forward":
        gx, gy = np.diff(f, axis=1)[:-1], np.diff(f, axis=0)[:, :-1]
    else:
        raise ValueError(f"differences must be 'central' or 'forward', got {differences!r}")
    return float(np.mean(np.sqrt((gx**2 + gy**2) / 2)))


def vif(thermal: GreyImage, visible: GreyImage, fused: GreyImage) -> float:
    """VIF: VIFP(thermal, fused) + VIFP(visible, fused), a sum whose ideal is 2.

    Images and errors as `vif_of_each`.
    """
    return sum(vif_of_each(thermal, visible, fused))


def weaker(thermal: GreyImage, visible: GreyImage, fused: GreyImage) -> float:
    """The smaller of VIFP(thermal, fused) and VIFP(visible, fused), whose ideal is 1.

    A copy of one source, which VIF rewards, scores next to nothing. Images and errors as
    `vif_of_each`.
    """
    return min(vif_of_each(thermal, visible, fused))


def vif_of_each(thermal: GreyImage, visible: GreyImage, fused: GreyImage) -> tuple[float, float]:
    """VIFP(thermal, fused) and VIFP(visible, fused).

    Pixel-domain visual information fidelity (Sheikh and Bovik 2006) over 4 scales with 'valid'
    borders. A source without any structure counts 1. Images: grey [H,W], same size, at least
    41x41. Raises ValueError otherwise.
    """
    sources = checked_greys(VIF_MIN_SIZE, thermal=thermal, visible=visible, fused=fused)
    thermal_scales, visible_scales, fused_scales = (_vif_scales(image) for image in sources)
    return _vifp(thermal_scales, fused_scales), _vifp(visible_scales, fused_scales)


def qabf(thermal: GreyImage, visible: GreyImage, fused: GreyImage) -> float:
    """Qabf: how much of the sources' edge strength and direction the fused image keeps, 0..1.

    Xydeas and Petrovic 2000 with the constants of the reference evaluator. Where the strengths
    of source and fused are equal the reference uses the strength itself in place of their ratio
    1: a quirk that we follow, so that numbers compare. NaN if both sources are all black (no
    edge to keep).
    Images: grey [H,W], same size. Raises ValueError otherwise.
    """
    sources = checked_greys(1, thermal=thermal, visible=visible, fused=fused)
    edges = [_sobel(image) for image in sources]
    fused_strength, fused_angle = edges[2]
    kept = total = 0.0
    for strength, angle in edges[:2]:
        quality = _edge_quality(strength, angle, fused_strength, fused_angle)
        kept += float(np.sum(quality * strength))
        total += float(np.sum(strength))
    return kept / total if total > 0 else float("nan")


def hot(thermal: GreyImage, visible: GreyImage, fused: GreyImage) -> float | None:
    """Thermal check: mean(fused) / mean(thermal) over warm pixels that the visible image lacks.

    Those are the pixels with thermal >= 110 and thermal - visible >= 40. 1 means that warm targets
    survive in full; copying the visible image gives about 0.25 on night streets. None if fewer
    than 60 pixels qualify.
    Images: grey [H,W], same size. Raises ValueError otherwise.
    """
    t, v, f = checked_greys(1, thermal=thermal, visible=visible, fused=fused)
    mask = (t >= 110) & (t.astype(np.int16) - v >= 40)
    if np.count_nonzero(mask) < 60:
        return None
    return float(f[mask].mean() / t[mask].mean())


def glare(thermal: GreyImage, visible: GreyImage, fused: GreyImage) -> float | None:
    """Glare check: how much of the thermal structure under lights the fused image keeps, 0..1.

    Mean of clip((grad fused . grad thermal) / |grad thermal|^2, 0, 1) over the pixels that have a
    visible one of 200 or more within 10 px (a square), and where |grad thermal| is above 40 and
    above |grad visible|; grad as `gradient`. A copy of the thermal image scores 1: read it beside
    `weaker`. None if fewer than 200 pixels qualify.
    Images: grey [H,W], same size. Raises ValueError otherwise.
    """
    t, v, f = checked_greys(1, thermal=thermal, visible=visible, fused=fused)
    lit = cv2.dilate((v >= 200).astype(np.uint8), np.ones((21, 21), np.uint8)) > 0
    # Only lit pixels from here on: there are few as a rule.
    (tx, ty), (vx, vy), (fx, fy) = (
        [part[lit].astype(np.int32) for part in gradient(image)] for image in (t, v, f)
    )
    strength = tx * tx + ty * ty
    mask = (strength > 40**2) & (strength > vx * vx + vy * vy)
    if np.count_nonzero(mask) < 200:
        return None
    kept = (fx * tx + fy * ty)[mask] / strength[mask]
    return float(np.clip(kept, 0, 1).mean())


def gradient(img: NDArray[np.uint8]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Differences to the right and down: 3x3 Sobel sums, not normalised, edge pixels repeated.

    img: uint8 [H,W]. Returns two of int16 [H,W]: scipy.ndimage.sobel over axis 1 and axis 0.
    """
    x = cv2.Sobel(img, cv2.CV_16S, 1, 0, borderType=cv2.BORDER_REFLECT)
    y = cv2.Sobel(img, cv2.CV_16S, 0, 1, borderType=cv2.BORDER_REFLECT)
    return np.asarray(x, np.int16), np.asarray(y, np.int16)


def saturated(img: GreyImage) -> float:
    """Share of the pixels of 250 or more, in percent. img: grey [H,W]."""
    return 100 * float(np.mean(checked_grey(img) >= 250))


@dataclass
class FusionScores:
    """Mean of every fusion metric over the images given to `accumulate` (see PROTOCOL).

    `per_image` keeps one dict a picture, for tables by image.
    """

    per_image: list[dict[str, float | None]] = field(default_factory=list)

    def accumulate(
        self, thermal: GreyImage, visible: GreyImage, fused: GreyImage
    ) -> dict[str, float | None]:
        """Score one fused image and keep the result.

        thermal: grey [H,W]; visible and fused: grey [H,W] or rgb uint8 [H,W,3], of which the
        luminance is taken. Returns name -> value; `hot` is None where the frame has no warm
        target, `glare` where it has no thermal structure under lights. Raises ValueError if sizes
        or types do not fit; nothing is kept then.
        """
        visible, fused = as_luminance(visible), as_luminance(fused)
        each = vif_of_each(thermal, visible, fused)
        scores: dict[str, float | None] = {
            "EN": entropy(fused),
            "SD": standard_deviation(fused),
            "SF": spatial_frequency(fused),
            "AG": average_gradient(fused),
            "AG_forward": average_gradient(fused, "forward"),
            "VIF": sum(each),
            "Qabf": qabf(thermal, visible, fused),
            "hot": hot(thermal, visible, fused),
            "weaker": min(each),
            "glare": glare(thermal, visible, fused),
        }
        self.per_image.append(scores)
        return scores

    def mean(self) -> dict[str, float | None]:
        """Name -> mean over the images that have a value; None where none has."""
        return {name: _mean([image[name] for image in self.per_image]) for name in FUSION_METRICS}

    def line(self) -> str:
        """The means on one line, e.g. `42 images: EN 6.618  SD 40.925 ...`."""
        values = (
            f"{name} {value:.4f}" if value is not None else f"{name} -"
            for name, value in self.mean().items()
        )
        count = len(self.per_image)
        return f"{count} image{'' if count == 1 else 's'}: " + "  ".join(values)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and not np.isnan(value)]
    return float(np.mean(known)) if known else None


_FloatImage = NDArray[np.float64]
_Scale = tuple[_FloatImage, _FloatImage, _FloatImage, _FloatImage]  # image, window, mean, variance


def _vif_scales(img: NDArray[np.uint8]) -> list[_Scale]:
    """Image, Gaussian window, local mean and variance at each of VIF's four scales."""
    scales = []
    image = img.astype(np.float64)
    for taps in (17, 9, 5, 3):
        window = np.asarray(cv2.getGaussianKernel(taps, taps / 5, cv2.CV_64F), np.float64)
        if taps < 17:
            # A copy: OpenCV filters contiguous rows much faster than every second pixel.
            image = np.ascontiguousarray(_smooth(image, window)[::2, ::2])
        mean = _smooth(image, window)
        variance = np.maximum(_smooth(image * image, window) - mean * mean, 0)
        scales.append((image, window, mean, variance))
    return scales


def _smooth(image: _FloatImage, window: _FloatImage) -> _FloatImage:
    """Separable filter with 'valid' borders."""
    margin = len(window) // 2
    smooth = cv2.sepFilter2D(image, cv2.CV_64F, window, window)
    return np.asarray(smooth, np.float64)[margin:-margin, margin:-margin]


def _vifp(source: list[_Scale], fused: list[_Scale]) -> float:
    """VIFP of one source. The order of the clean-up steps is the reference's: it matters."""
    eps, noise = 1e-10, 2.0
    kept = available = 0.0
    for (image, window, mean1, s1), (other, _, mean2, s2) in zip(source, fused, strict=True):
        s12 = _smooth(image * other, window) - mean1 * mean2
        gain = s12 / (s1 + eps)
        rest = s2 - gain * s12
        flat_source, flat_fused = s1 < eps, s2 < eps
        gain[flat_source] = 0
        rest[flat_source] = s2[flat_source]
        s1 = np.where(flat_source, 0, s1)
        gain[flat_fused] = 0
        rest[flat_fused] = 0
        inverted = gain < 0
        rest[inverted] = s2[inverted]
        gain[inverted] = 0
        rest[rest <= eps] = eps
        kept += float(np.sum(np.log10(1 + gain * gain * s1 / (rest + noise))))
        available += float(np.sum(np.log10(1 + s1 / noise)))
    return kept / available if available > 0 else 1.0


def _sobel(img: NDArray[np.uint8]) -> tuple[_FloatImage, _FloatImage]:
    """Edge strength and angle (-pi/2..pi/2, and pi/2 where there is no horizontal difference)."""
    # The reference convolves, which mirrors the kernels: its x difference has the other sign.
    sx = -cv2.Sobel(img, cv2.CV_64F, 1, 0, borderType=cv2.BORDER_CONSTANT)
    sy = cv2.Sobel(img, cv2.CV_64F, 0, 1, borderType=cv2.BORDER_CONSTANT)
    vertical = sx == 0
    angle = np.arctan(np.divide(sy, sx, out=np.zeros_like(sy), where=~vertical))
    angle[vertical] = np.pi / 2
    return np.sqrt(sx * sx + sy * sy), angle


def _edge_quality(
    strength: _FloatImage,
    angle: _FloatImage,
    fused_strength: _FloatImage,
    fused_angle: _FloatImage,
) -> _FloatImage:
    high, low = np.maximum(strength, fused_strength), np.minimum(strength, fused_strength)
    # Equal strengths keep the strength itself (see qabf).
    ratio = np.divide(low, high, out=fused_strength.copy(), where=high > low)
    alignment = 1 - np.abs(angle - fused_angle) / (np.pi / 2)
    strength_kept = 0.9994 / (1 + np.exp(-15 * (ratio - 0.5)))
    angle_kept = 0.9879 / (1 + np.exp(-22 * (alignment - 0.8)))
    return strength_kept * angle_kept
