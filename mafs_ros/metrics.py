"""Scores of fused images and of label maps, and the definitions to print with them.

Fusion metrics follow the evaluator of CDDFuse (Zhaozixiang1228/MMIF-CDDFuse,
`utils/Evaluator.py`), to which EMMA and the MAFS paper refer. They take single-channel grey
images: uint8 [H,W], or floats in 0..255, which are rounded by numpy.round to what an 8-bit file
would hold. Nothing is stretched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

PROTOCOL = (
    'Fusion scores (definitions of the CDDFuse evaluator): grey 0..255 rounded by numpy.round, '
    'not stretched; colour as luminance 0.299 R + 0.587 G + 0.114 B; per image, then the mean '
    'over images. EN 256 bins, base 2; SD ddof 0; SF neighbour differences; AG central '
    'differences (numpy.gradient), AG_forward forward; VIF = VIFP(thermal, fused) + VIFP(visible, '
    "fused), 4 scales, 'valid' borders; Qabf zero-padded Sobel; hot = mean fused / mean thermal "
    'over pixels with thermal >= 110 and thermal - visible >= 40, frames with at least 60 of them.'
)
SEGMENTATION_PROTOCOL = (
    'Segmentation scores: one confusion matrix over the whole set, ignored id left out; IoU = '
    'TP / (TP + FP + FN) in percent; a class that is neither labelled nor predicted has no IoU '
    'and is left out of the mean; mIoU with and without the background (id 0).'
)

FUSION_METRICS = ('EN', 'SD', 'SF', 'AG', 'AG_forward', 'VIF', 'Qabf', 'hot')

# What four Gaussian windows of 17, 9, 5 and 3 taps with 'valid' borders need of each side.
VIF_MIN_SIZE = 41

GreyImage = NDArray[np.generic]


def luminance(rgb: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Grey image of an RGB image: 0.299 R + 0.587 G + 0.114 B, rounded by numpy.round.

    rgb: uint8 [H,W,3]. Returns uint8 [H,W]. Raises ValueError for another shape or type.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f'luminance needs rgb uint8 [H,W,3], got {rgb.dtype} {list(rgb.shape)}')
    # Products from tables: the same float64 numbers as per pixel, in a third of the time.
    red, green, blue = _LUMINANCE_TABLES
    grey = red[rgb[..., 0]] + green[rgb[..., 1]] + blue[rgb[..., 2]]
    return np.round(grey).astype(np.uint8)


_LUMINANCE_TABLES = [weight * np.arange(256.0) for weight in (0.299, 0.587, 0.114)]


def entropy(img: GreyImage) -> float:
    """EN: entropy of the 256-bin grey histogram in bit. img: grey [H,W]. Range 0..8."""
    counts = np.bincount(_grey(img).ravel(), minlength=256)
    p = counts[counts > 0] / counts.sum()
    return float(-np.sum(p * np.log2(p))) + 0.0  # + 0.0 turns the -0.0 of a flat image into 0.0


def standard_deviation(img: GreyImage) -> float:
    """SD: population standard deviation (ddof 0). img: grey [H,W]. Range 0..127.5."""
    return float(_grey(img).std())


def spatial_frequency(img: GreyImage) -> float:
    """SF: sqrt(mean(dx^2) + mean(dy^2)), neighbour differences. img: grey [H,W], at least 2x2."""
    f = _grey(img, min_size=2).astype(np.float64)
    return float(np.sqrt(np.mean(np.diff(f, axis=1) ** 2) + np.mean(np.diff(f, axis=0) ** 2)))


def average_gradient(
    img: GreyImage, differences: Literal['central', 'forward'] = 'central'
) -> float:
    """AG: mean of sqrt((gx^2 + gy^2) / 2). img: grey [H,W], at least 2x2.

    differences: 'central' (numpy.gradient, one-sided at the borders, mean over H*W; the
    reference) or 'forward' (neighbour differences, mean over (H-1)*(W-1); about a fifth higher,
    found in published tables).
    """
    f = _grey(img, min_size=2).astype(np.float64)
    if differences == 'central':
        gy, gx = np.gradient(f)
    elif differences == 'forward':
        gx, gy = np.diff(f, axis=1)[:-1], np.diff(f, axis=0)[:, :-1]
    else:
        raise ValueError(f"differences must be 'central' or 'forward', got {differences!r}")
    return float(np.mean(np.sqrt((gx**2 + gy**2) / 2)))


def vif(thermal: GreyImage, visible: GreyImage, fused: GreyImage) -> float:
    """VIF: VIFP(thermal, fused) + VIFP(visible, fused), a sum whose ideal is 2.

    Pixel-domain visual information fidelity (Sheikh and Bovik 2006) over 4 scales with 'valid'
    borders. A source without any structure counts 1. Images: grey [H,W], same size, at least
    41x41. Raises ValueError otherwise.
    """
    sources = _greys(VIF_MIN_SIZE, thermal=thermal, visible=visible, fused=fused)
    thermal_scales, visible_scales, fused_scales = (_vif_scales(image) for image in sources)
    return _vifp(thermal_scales, fused_scales) + _vifp(visible_scales, fused_scales)


def qabf(thermal: GreyImage, visible: GreyImage, fused: GreyImage) -> float:
    """Qabf: how much of the sources' edge strength and direction the fused image keeps, 0..1.

    Xydeas and Petrovic 2000 with the constants of the reference evaluator. Where the strengths
    of source and fused are equal the reference uses the strength itself in place of their ratio
    1: a quirk that we follow, so that numbers compare. NaN if both sources are all black (no
    edge to keep).
    Images: grey [H,W], same size. Raises ValueError otherwise.
    """
    edges = [_sobel(image) for image in _greys(1, thermal=thermal, visible=visible, fused=fused)]
    fused_strength, fused_angle = edges[2]
    kept = total = 0.0
    for strength, angle in edges[:2]:
        quality = _edge_quality(strength, angle, fused_strength, fused_angle)
        kept += float(np.sum(quality * strength))
        total += float(np.sum(strength))
    return kept / total if total > 0 else float('nan')


def hot(thermal: GreyImage, visible: GreyImage, fused: GreyImage) -> float | None:
    """Thermal check: mean(fused) / mean(thermal) over warm pixels that the visible image lacks.

    Those are the pixels with thermal >= 110 and thermal - visible >= 40. 1 means that warm targets
    survive in full; copying the visible image gives about 0.25 on night streets. None if fewer
    than 60 pixels qualify.
    Images: grey [H,W], same size. Raises ValueError otherwise.
    """
    t, v, f = _greys(1, thermal=thermal, visible=visible, fused=fused)
    mask = (t >= 110) & (t.astype(np.int16) - v >= 40)
    if np.count_nonzero(mask) < 60:
        return None
    return float(f[mask].mean() / t[mask].mean())


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
        target. Raises ValueError if sizes or types do not fit; nothing is kept then.
        """
        visible, fused = _as_grey(visible), _as_grey(fused)
        scores: dict[str, float | None] = {
            'EN': entropy(fused),
            'SD': standard_deviation(fused),
            'SF': spatial_frequency(fused),
            'AG': average_gradient(fused),
            'AG_forward': average_gradient(fused, 'forward'),
            'VIF': vif(thermal, visible, fused),
            'Qabf': qabf(thermal, visible, fused),
            'hot': hot(thermal, visible, fused),
        }
        self.per_image.append(scores)
        return scores

    def mean(self) -> dict[str, float | None]:
        """Name -> mean over the images that have a value; None where none has."""
        return {name: _mean([image[name] for image in self.per_image]) for name in FUSION_METRICS}

    def line(self) -> str:
        """The means on one line, e.g. `42 images: EN 6.618  SD 40.925 ...`."""
        values = (
            f'{name} {value:.4f}' if value is not None else f'{name} -'
            for name, value in self.mean().items()
        )
        count = len(self.per_image)
        return f'{count} image{"" if count == 1 else "s"}: ' + '  '.join(values)


class ConfusionMatrix:
    """Pixel counts of labelled against predicted classes over a whole set of label maps.

    class_names: name of id 0 (background), 1, 2, ...; ignore_id: label that is left out.
    `matrix` is int64 [C,C], rows labelled, columns predicted; the matrices of several processes
    may be added.
    """

    def __init__(self, class_names: Sequence[str], ignore_id: int = 255) -> None:
        if len(class_names) < 2:
            raise ValueError(f'a confusion matrix needs 2 classes, got {list(class_names)}')
        self.class_names = tuple(class_names)
        self.ignore_id = ignore_id
        self.matrix = np.zeros((len(class_names), len(class_names)), np.int64)

    def accumulate(self, labels: NDArray[np.integer], predicted: NDArray[np.integer]) -> None:
        """Add one label map and its prediction.

        labels, predicted: integer arrays of one shape with ids below C; labels may hold ignore_id
        too. Raises ValueError for different shapes or other ids; nothing is added then.
        """
        if labels.shape != predicted.shape:
            raise ValueError(
                f'labels {list(labels.shape)} and prediction {list(predicted.shape)} '
                'differ in size'
            )
        valid = labels != self.ignore_id
        rows, columns = labels[valid], predicted[valid]
        self._check_ids('labels', rows, f' or the ignored id {self.ignore_id}')
        self._check_ids('prediction', columns, '')
        count = len(self.class_names)
        cells = np.bincount(rows.astype(np.intp) * count + columns, minlength=count * count)
        self.matrix += cells.reshape(count, count)

    def iou(self) -> NDArray[np.float64]:
        """Per-class IoU float64 [C] in 0..1; NaN for a class neither labelled nor predicted."""
        true_positive = np.diagonal(self.matrix).astype(np.float64)
        union = self.matrix.sum(axis=0) + self.matrix.sum(axis=1) - true_positive
        return np.divide(true_positive, union, out=np.full(len(union), np.nan), where=union > 0)

    def miou(self, background: bool = True) -> float:
        """Mean in 0..1 of the IoUs that are not NaN, with or without id 0; NaN if all are."""
        iou = self.iou() if background else self.iou()[1:]
        iou = iou[~np.isnan(iou)]
        return float(iou.mean()) if iou.size else float('nan')

    def absent(self) -> tuple[str, ...]:
        """Names of the classes that no label map contains; predicted anyway, they score 0."""
        labelled = self.matrix.sum(axis=1)
        return tuple(
            name for name, pixels in zip(self.class_names, labelled, strict=True) if not pixels
        )

    def table(self) -> str:
        """Per-class IoU, both means in percent and the absent classes, one line each."""
        width = max(map(len, self.class_names))
        rows = [
            f'{name:<{width}}  {"-" if np.isnan(value) else f"{100 * value:.2f}":>6}'
            for name, value in zip(self.class_names, self.iou(), strict=True)
        ]
        with_background, without = 100 * self.miou(), 100 * self.miou(background=False)
        rows.append(f'mIoU {with_background:.2f} with, {without:.2f} without background')
        if self.absent():
            rows.append(f'absent from the labels: {", ".join(self.absent())}')
        return '\n'.join(rows)

    def _check_ids(self, what: str, ids: NDArray[np.integer], other: str) -> None:
        if ids.size and (ids.min() < 0 or ids.max() >= len(self.class_names)):
            wrong = np.unique(ids[(ids < 0) | (ids >= len(self.class_names))])
            raise ValueError(
                f'{what} contain the ids {wrong[:8].tolist()}; expected '
                f'0..{len(self.class_names) - 1} ({", ".join(self.class_names)}){other}'
            )


def _as_grey(img: GreyImage) -> GreyImage:
    return luminance(img) if img.ndim == 3 else img


def _grey(img: GreyImage, name: str = 'image', min_size: int = 1) -> NDArray[np.uint8]:
    """uint8 [H,W] of a grey image, rounded by numpy.round; ValueError if it is none."""
    if img.ndim != 2 or min(img.shape) < min_size:
        hint = '; take luminance() of a colour image' if img.ndim == 3 else ''
        at_least = f' of at least {min_size}x{min_size}' if min_size > 1 else ''
        raise ValueError(f'{name} must be grey [H,W]{at_least}, got {list(img.shape)}{hint}')
    if img.size == 0:
        raise ValueError(f'{name} is empty: {list(img.shape)}')
    if img.dtype == np.uint8:
        return img  # type: ignore[return-value]
    values = np.round(img.astype(np.float64))
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 255):  # also true for NaN
        raise ValueError(f'{name} must lie in 0..255, got {low:g}..{high:g}; clip it first')
    return values.astype(np.uint8)


def _greys(min_size: int, **images: GreyImage) -> list[NDArray[np.uint8]]:
    """The named images as uint8 [H,W] of one size; ValueError if they are not."""
    greys = [_grey(img, name, min_size) for name, img in images.items()]
    if len({grey.shape for grey in greys}) > 1:
        sizes = ', '.join(f'{name} {list(img.shape)}' for name, img in images.items())
        raise ValueError(f'images must have one size, got {sizes}')
    return greys


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
