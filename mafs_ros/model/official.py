"""Take over checkpoints of the authors' release (NetworkStage2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from mafs_ros.model.mafs import build_model

# Executed or stored by the release, but without influence on any output.
DEAD = (
    r"encoder\.(SFEB2|to_fused_seg|ARM|SIM3|seg_decoder)\.",
    r"seg_decoder\.pixel_decoder\.mask_features\.",
    r"seg_decoder\.invpt\.(redu_chan|norm_mt)\.",
    r"seg_decoder\.intermediate_head\.",
    r"seg_decoder\.seg_head\.boundary_conv[12]?\.",
)

_CONV_NORM = ("conv", "norm")
_COUPLING = {"F": "shift_first", "G": "shift_second", "H": "scale_second"}
_EMBED = {"1": "0.conv", "2": "0.norm", "4": "1.conv", "5": "1.norm"}
_AFM_ORDER = {"obj1_1": 0, "obj1_2": 1, "spr": 2}
_NORM = (r"\.bn(op|1)?\.", ".norm.")
_RENAMES: tuple[tuple[str, Any], ...] = (
    # Shallow feature extraction and trunks.
    (r"^encoder\.encoder_rgb_", "encoder.visible_"),
    (r"^encoder\.encoder_thermal_", "encoder.infrared_"),
    (r"(visible|infrared)_conv1\.SFEB1\.", r"\1_sfe.detail."),
    (r"(visible|infrared)_conv1\.SFEB2\.", r"\1_sfe.stem."),
    (r"\.conv_frelu\.", ".conv."),
    (r"\.bn_frelu\.", ".norm."),
    (r"(visible|infrared)_bn1\.", r"\1_trunk.stem.0."),
    (r"(visible|infrared)_layer(\d)\.", lambda m: f"{m[1]}_trunk.stages.{int(m[2]) - 3}."),
    # DEM.
    (r"^encoder\.EAEF(\d)\.", lambda m: f"encoder.interaction.{int(m[1]) - 2}."),
    (r"\.T_c$", ".temperature"),
    (r"\.mlp_pool\.", ".similarity_"),
    (r"\.dwconv\.(weight|bias)$", r".mix.\1"),
    (r"\.cse\.", ".weight_"),
    (r"\.sse_r\.conv1\.", ".score_visible."),
    (r"\.sse_t\.conv1\.", ".score_infrared."),
    # CAM.
    (
        r"^encoder\.(low_fuse3|high_fuse[456])\.",
        lambda m: f"encoder.deep_fusion.{int(m[1][-1]) - 3}.",
    ),
    (r"\.conv2\.(conv|bn)\.(?=\w+$)", lambda m: f".reduce.{m[1]}."),
    (r"\.sa\.conv1\.", ".spatial."),
    (r"\.cam\.gamma$", ".scale"),
    # AFM.
    (r"^encoder\.low_fuse1\.", "encoder.detail_fusion."),
    (r"^encoder\.low_fuse2\.", "encoder.stem_fusion."),
    (r"\.(RGB|Inf)(obj1_1|obj1_2|spr)\.basicconv\.", lambda m: _afm_conv(m[1], m[2])),
    (r"\.obj_fuse\.Recalibrate\.(\d)\.", lambda m: _sequence("recalibrate", m[1], 1)),
    (r"\.obj_fuse\.channel_agg\.(\d)\.", lambda m: f".gather.{_CONV_NORM[int(m[1])]}."),
    (r"\.obj_fuse\.local_att\.(\d)\.", lambda m: _sequence("local_weight", m[1], 0)),
    (r"\.obj_fuse\.global_att\.(\d)\.", lambda m: _sequence("global_weight", m[1], 1)),
    (r"(fusion\.(?:visible|infrared)\.\d)\.(\d)\.", lambda m: f"{m[1]}.{_CONV_NORM[int(m[2])]}."),
    # PHF and DSRM.
    (r"^encoder\.SIM1\.", "encoder.stem_progressive."),
    (r"^encoder\.SIM2\.", "encoder.detail_progressive."),
    (r"\.mlp_(shared|gamma)\.0\.", r".\1."),
    (r"\.mlp_beta\.", ".beta."),
    (
        r"^encoder\.rec_decoder\.block(\d)\.",
        lambda m: f"encoder.refinement.blocks.{int(m[1]) - 1}.",
    ),
    (r"(refinement\.blocks\.\d)\.1\.", r"\1.2."),
    (r"(refinement\.blocks\.\d)\.0\.conv\.", r"\1.0."),
    (r"(refinement\.blocks\.\d)\.0\.bn\.", r"\1.1."),
    # Invertible fusion decoder.
    (r"^fuse_decoder\.fuse_decoder\.operations\.", "fusion_decoder.blocks."),
    (r"^fuse_decoder\.fuse_decoder\.fuse\.", "fusion_decoder.gather."),
    (r"^fuse_decoder\.conv_block\.0\.", "fusion_decoder.output."),
    (r"\.invconv\.p$", ".mix.permutation"),
    (r"\.invconv\.sign_s$", ".mix.sign"),
    (r"\.invconv\.log_s$", ".mix.log_diagonal"),
    (r"\.invconv\.", ".mix."),
    (r"\.([FGH])\.conv([12])\.", lambda m: f".{_COUPLING[m[1]]}.{2 * int(m[2]) - 2}."),
    (r"\.conv_1\.", ".first."),
    (r"\.conv_2\.", ".second."),
    # Segmentation decoder.
    (r"^seg_decoder\.", "segmentation_decoder."),
    (
        r"\.pixel_decoder\.adapter_(\d)\.(norm\.)?",
        lambda m: f".pixel_decoder.lateral.{int(m[1]) - 1}.{1 if m[2] else 0}.",
    ),
    (
        r"\.pixel_decoder\.layer_(\d)\.(norm\.)?",
        lambda m: f".pixel_decoder.output.{int(m[1]) - 1}.0.{1 if m[2] else 0}.",
    ),
    (r"\.arm(\d)\.high_out\.", lambda m: f".auxiliary.fusions.{3 - int(m[1])}.high."),
    (r"\.arm(\d)\.", lambda m: f".auxiliary.fusions.{3 - int(m[1])}.context."),
    (r"\.ARM\.", ".dilated."),
    (r"\.dilation_conv(\d)\.", lambda m: f".branches.{int(m[1]) - 1}."),
    (r"(context|dilated)\.conv1\.", r"\1.gather."),
    (r"\.classifier_Z([456])\.", lambda m: f".auxiliary.binary.{6 - int(m[1])}."),
    (r"\.classifier_Z([123])\.", lambda m: f".auxiliary.semantic.{3 - int(m[1])}."),
    (r"(\.auxiliary\.(?:binary|semantic)\.\d)\.0\.", r"\1.refine."),
    (r"(\.auxiliary\.(?:binary|semantic)\.\d)\.2\.", r"\1.classify."),
    (r"\.aspp\.conv(\d)\.", r".context.branches.\1."),
    (r"\.aspp\.conv\.", ".context.gather."),
    (r"\.aspp\.rconv\.", ".context.refine."),
    (r"\.invpt\.norm_mts\.", ".scales.norms."),
    (r"\.invpt\.mt_proj\.(\d)\.", lambda m: f".scales.head.{_CONV_NORM[int(m[1])]}."),
    (
        r"\.invpt\.invpt_stages\.(\d)\.patch_embed\.0\.proj\.(\d)\.",
        lambda m: f".scales.upsampling.{int(m[1]) - 1}.refine.{_EMBED[m[2]]}.",
    ),
    (r"\.invpt\.invpt_stages\.(\d)\.blocks\.0\.", r".scales.blocks.\1."),
    (r"\.norm1\.body\.", ".norm_attention."),
    (r"\.norm2\.body\.", ".norm_feed_forward."),
    (r"\.attn\.qkv\.", ".attention.qkv.0."),
    (r"\.attn\.qkv_dwconv\.", ".attention.qkv.1."),
    (r"\.attn\.project_out\.", ".attention.project."),
    (r"\.attn\.", ".attention."),
    (r"\.ffn\.linear1\.0\.", ".feed_forward.body.0."),
    (r"\.ffn\.dwconv\.0\.", ".feed_forward.body.2."),
    (r"\.ffn\.linear2\.0\.", ".feed_forward.body.4."),
    (r"\.preliminary_decoder\.", ".preliminary."),
    (r"\.seg_head\.binary_conv1\.", ".head.binary_features."),
    (r"\.seg_head\.binary_conv2\.", ".head.binary."),
    (r"\.seg_head\.semantic_conv1\.", ".head.semantic_features."),
    (r"\.seg_head\.semantic_conv2\.", ".head.semantic."),
)


class OfficialCheckpoint(NamedTuple):
    """A released checkpoint in this project's names.

    overrides: for `build_model("mafs", **overrides)`: class count and released DEM gate.
    state_dict: loads strictly into that network.
    dead: entries of the release that were left out because they influence no output.
    """

    overrides: dict[str, Any]
    state_dict: dict[str, Tensor]
    dead: tuple[str, ...]


class OfficialCheckpointError(ValueError):
    """A checkpoint that is not the authors' stage-2 network; the message lists the entries."""


def convert_official_state_dict(official: Mapping[str, Tensor]) -> OfficialCheckpoint:
    """Rename the entries of the authors' NetworkStage2 and check them against our network.

    official: their state_dict, plain or under the key `MTAN`, with or without `module.` prefixes.
    The class count is read from the weights.

    Raises OfficialCheckpointError naming missing, unexpected or misshapen entries.
    """
    official = official.get("MTAN", official)  # type: ignore[assignment]
    official = {key.removeprefix("module."): value for key, value in official.items()}
    dead = tuple(key for key in official if any(re.match(p, key) for p in DEAD))
    named = {key: rename(key) for key in official if key not in set(dead)}
    classes = official.get("seg_decoder.seg_head.semantic_conv2.weight")
    if classes is None:
        raise OfficialCheckpointError(
            "no entry 'seg_decoder.seg_head.semantic_conv2.weight': this is not a stage-2 "
            f"checkpoint of the MAFS release (it has {len(official)} entries, the first are "
            f"{', '.join(list(official)[:3]) or 'none'})"
        )
    overrides = {"num_classes": int(classes.shape[0]), "released_dem_gate": True}
    state = {ours: official[theirs] for theirs, ours in named.items()}
    _check(state, overrides, {ours: theirs for theirs, ours in named.items()})
    return OfficialCheckpoint(overrides, state, dead)


def rename(key: str) -> str:
    """Return this project's name for an entry of the release; unknown entries pass through."""
    for pattern, replacement in _RENAMES:
        key = re.sub(pattern, replacement, key)
    return key if ".trunk" in key or "_trunk." in key else re.sub(*_NORM, key)


def _check(state: dict[str, Tensor], overrides: dict[str, Any], theirs: dict[str, str]) -> None:
    import torch

    with torch.device("meta"):
        expected = build_model("mafs", **overrides).state_dict()
    lines = [f"missing: {key}" for key in expected if key not in state]
    lines += [f"unexpected: {theirs[key]}" for key in state if key not in expected]
    for key in state.keys() & expected.keys():
        if state[key].shape != expected[key].shape:
            lines.append(
                f"shape of {theirs[key]}: got {list(state[key].shape)}, "
                f"expected {list(expected[key].shape)}"
            )
    if lines:
        raise OfficialCheckpointError(
            f"{len(lines)} entries do not fit the released MAFS network:\n" + "\n".join(lines)
        )


def _afm_conv(modality: str, position: str) -> str:
    return f".{'visible' if modality == 'RGB' else 'infrared'}.{_AFM_ORDER[position]}."


def _sequence(name: str, index: str, first: int) -> str:
    """Name of entry `index` of conv, norm, activation, conv, norm counted from `first`."""
    block, part = divmod(int(index) - first, 3)
    return f".{name}.{block}.{_CONV_NORM[part]}."
