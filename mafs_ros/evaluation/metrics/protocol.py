"""The definitions to print with scores."""

PROTOCOL = (
    "Fusion scores (definitions of the CDDFuse evaluator): grey 0..255 rounded by numpy.round, "
    "not stretched; colour as luminance 0.299 R + 0.587 G + 0.114 B; per image, then the mean "
    "over images. EN 256 bins, base 2; SD ddof 0; SF neighbour differences; AG central "
    "differences (numpy.gradient), AG_forward forward; VIF = VIFP(thermal, fused) + VIFP(visible, "
    "fused), 4 scales, 'valid' borders; Qabf zero-padded Sobel; hot = mean fused / mean thermal "
    "over pixels with thermal >= 110 and thermal - visible >= 40, frames with at least 60 of "
    "them; weaker = the smaller of the two VIFP; glare = mean of clip(grad fused . grad thermal / "
    "|grad thermal|^2, 0, 1), Sobel sums with edge pixels repeated, over pixels within 10 px (a "
    "square) of visible >= 200 with |grad thermal| > 40 and > |grad visible|, frames with at "
    "least 200 of them."
)
SEGMENTATION_PROTOCOL = (
    "Segmentation scores: one confusion matrix over the whole set, ignored id left out; IoU = "
    "TP / (TP + FP + FN) in percent; a class that is neither labelled nor predicted has no IoU "
    "and is left out of the mean; mIoU with and without the background (id 0)."
)
