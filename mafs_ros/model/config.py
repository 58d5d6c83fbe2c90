"""What a MAFS network is built from, and the named presets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MafsConfig:
    """Shape of a MAFS network; the defaults are the paper's (preset `mafs`).

    backbone: a name in `mafs_ros.model.backbones.BACKBONES`, used once per modality.
    num_classes: channels of the logits, background included.
    detail_stride: stride of the full-resolution branch, 1 in the paper. s > 1 starts with an
        s x s convolution of stride s and ends by moving channels into s x s pixel cells, so that
        nothing between runs at full resolution.
    detail_width, detail_kernel, detail_layers: channels, first kernel (at stride 1) and number of
        convolutions of the first tap of the shallow feature extraction.
    own_stem: the shallow feature extraction replaces the backbone's first convolution (paper);
        False keeps the backbone's own stem on the image.
    shallow_stride: stride at which the stem's features are fused, 2 in the paper; a strided
        convolution in AFM brings them to a larger one.
    dem_levels: where modality interaction (DEM) stands: 0 after the stem, 1 to 3 after that
        backbone stage. The paper has all four.
    dem_kernel: size of DEM's grouped convolution.
    released_dem_gate: take the gate of DEM as the authors' release computes it (first row of the
        similarity matrix, batch samples mixed) instead of its diagonal.
    cam, afm: fuse deep and shallow features by CAM and AFM; False adds them instead.
    attention_pool: the attention between channels (CAM, MST), which only needs sums over the map
        to find what is alike, takes them from the map averaged down by this factor (or by its
        half, .. where it does not divide the map).
    phf: condition finer features on coarser ones by PHF; False adds them instead.
    phf_levels: deep features that PHF passes through before the shallow ones, coarse to fine:
        some of 6 to 3 (F6 to F3), each conditioned on the one before. The paper has F3 alone;
        () for none: then the fused image sees shallow features only.
    deep_only: the last of these levels, by a 1x1 and resized, stands in for the shallow features
        F2 and F1 too (model IX of the paper's Table IX).
    fusion_width, fusion_kernel: channels of the fusion branch, kernel of AFM and PHF.
    afm_layers, afm_reduction: convolutions per modality in AFM; how much narrower the bottleneck
        of its weights is.
    dsrm_blocks: convolutions of the densely connected refinement.
    inn_blocks, inn_units, inn_skip: invertible blocks (0 for none), convolution units per
        transform, and the number of leading blocks whose output is not gathered at the end; that
        of the last always is.
    detail_skip: the fusion decoder also gathers the AFM features from before PHF, whose instance
        normalisation takes the absolute brightness out.
    linear_output: the fused luminance is the decoder's output clamped to 0..1; False squashes it
        by tanh (paper), which a narrow decoder has to learn to undo.
    blend: the fusion decoder gives a weight w and a residual r for each pixel, and the fused
        luminance is w visible + (1 - w) infrared + r, clamped to 0..1; a narrow decoder need not
        learn to copy pixels. False (paper): the decoder gives the luminance itself.
    segmentation_width: channels of the segmentation decoder.
    norm_groups: groups of GroupNorm in the pixel decoder; 0 for batch normalisation.
    segmentation_stride: stride of the last segmentation features (2 in the paper).
    subpixel_logits: the last convolution gives the logits of all pixels of a cell of that stride;
        False (paper) resizes bilinearly.
    mst: multi-scale transformer in the segmentation decoder; False resizes and adds instead.
    mst_batch_norm, mst_relu: batch normalisation and ReLU in it in place of the paper's layer
        normalisation and GELU: engines fold them into convolutions.
    mst_refine: dilated convolutions after each doubling of its resolution, 2 in the paper.
    mst_sum: the outputs of its three stages are summed (paper); False takes the last, which has
        been made from the others.
    aspp_dilations, arm_dilations: dilation rates.
    separable: depthwise-separable 3x3 convolutions in the decoders.
    fusion, segmentation: build that task; at least one. The paper's MAFS-S has fusion=False.
    auxiliary: build the auxiliary heads (training only).
    """

    backbone: str = "resnet152"
    num_classes: int = 9
    detail_stride: int = 1
    detail_width: int = 32
    detail_kernel: int = 7
    detail_layers: int = 2
    own_stem: bool = True
    shallow_stride: int = 2
    dem_levels: tuple[int, ...] = (0, 1, 2, 3)
    dem_kernel: int = 7
    released_dem_gate: bool = False
    cam: bool = True
    afm: bool = True
    attention_pool: int = 1
    phf: bool = True
    phf_levels: tuple[int, ...] = (3,)
    deep_only: bool = False
    fusion_width: int = 32
    fusion_kernel: int = 3
    afm_layers: int = 3
    afm_reduction: int = 4
    dsrm_blocks: int = 4
    inn_blocks: int = 5
    inn_units: int = 2
    inn_skip: int = 2
    detail_skip: bool = False
    linear_output: bool = False
    blend: bool = False
    segmentation_width: int = 64
    norm_groups: int = 32
    segmentation_stride: int = 2
    subpixel_logits: bool = False
    mst: bool = True
    mst_batch_norm: bool = False
    mst_relu: bool = False
    mst_refine: int = 2
    mst_sum: bool = True
    aspp_dilations: tuple[int, ...] = (1, 2, 3, 4)
    arm_dilations: tuple[int, ...] = (1, 2, 4, 8)
    separable: bool = False
    fusion: bool = True
    segmentation: bool = True
    auxiliary: bool = True


PRESETS: dict[str, dict[str, object]] = {
    "mafs": {},
    "mafs-lite": {
        "backbone": "efficientnet_lite0_slim",
        "detail_stride": 4,
        "detail_width": 32,
        "detail_layers": 1,
        "own_stem": False,
        "shallow_stride": 4,
        "dem_levels": (2, 3),
        "dem_kernel": 3,
        "attention_pool": 4,
        "fusion_width": 32,
        "fusion_kernel": 1,
        "afm_layers": 1,
        "afm_reduction": 2,
        "dsrm_blocks": 1,
        "inn_blocks": 1,
        "inn_units": 1,
        "inn_skip": 0,
        "detail_skip": True,
        "blend": True,
        "segmentation_width": 32,
        "norm_groups": 0,
        "mst_batch_norm": True,
        "mst_relu": True,
        "mst_refine": 1,
        "mst_sum": False,
        "segmentation_stride": 4,
        "subpixel_logits": True,
        "aspp_dilations": (2,),
        "arm_dilations": (2,),
        "separable": True,
    },
}
