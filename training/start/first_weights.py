"""What stage 2 takes from earlier training."""

from __future__ import annotations

from pathlib import Path

from mafs_ros.model.mafs import Mafs
from mafs_ros.model.weights import load_weights

# What stage 2 takes from stage 1 by the paper's Algorithm 1, as parts of the encoder. Modality
# interaction (DEM), refinement (DSRM) and the fusion decoder start anew; so do the trunk stages
# and CAMs of F4 to F6, to which the reconstruction of stage 1 gives no gradient.
ALGORITHM_1 = {
    "SFE": ("visible_sfe", "infrared_sfe"),
    "AFM": ("stem_fusion", "detail_fusion"),
    "PHF": ("stem_progressive", "detail_progressive"),
    "backbone": ("visible_trunk", "infrared_trunk"),
    "CAM": ("deep_fusion",),
}
FROM_STAGE1 = tuple(f"encoder.{part}." for parts in ALGORITHM_1.values() for part in parts)


def start_from(network: Mafs, path: Path) -> None:
    """Take first weights from a model file, in place.

    Of a network without segmentation, as stage 1 leaves it, what Algorithm 1 names; of an earlier
    stage 2 everything. What the file does not give keeps its weights, as auxiliary heads do, which
    no model file holds. Raises WeightsError or ValueError where the file does not fit.
    """
    other, _ = load_weights(path)
    weights = other.state_dict()
    if not other.config.segmentation:
        weights = {key: weights[key] for key in weights if key.startswith(FROM_STAGE1)}
    own = network.state_dict()
    wrong = [key for key in weights if key not in own or own[key].shape != weights[key].shape]
    if wrong:
        raise ValueError(
            f"{path}: {len(wrong)} of its {len(weights)} entries do not fit this network, the "
            f"first is {wrong[0]}; was it trained with another network or class table?"
        )
    network.load_state_dict({**own, **weights})
