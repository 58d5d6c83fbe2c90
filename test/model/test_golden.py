"""Numerical equality with the authors' release (test/golden: weights recipe, inputs, outputs)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_recipe import golden_pair, golden_tensor
from torch import Tensor

from mafs_ros.model import Mafs, build_model
from mafs_ros.model.official import OfficialCheckpointError, convert_official_state_dict

GOLDEN = Path(__file__).parents[1] / "golden"
NETWORK_FILES = ("public_64x96", "public_96x128", "public_b2_64x96")
OUTPUTS = ("fused", "semantic", *(f"aux{i}" for i in range(1, 7)))

# Intermediate of the golden file -> module of ours whose output it is.
MODULES = {
    **{f"fused_f{i}": f"encoder.deep_fusion.{i - 3}" for i in range(3, 7)},
    "fused_f2": "encoder.stem_fusion",
    "fused_f1": "encoder.detail_fusion",
    "phf1": "encoder.stem_progressive",
    "phf2": "encoder.detail_progressive",
    "rec_f": "encoder.refinement",
    "dem2": "encoder.interaction.0",
    "dem3": "encoder.interaction.1",
    "dem5": "encoder.interaction.3",
    **{f"fpn{i}": f"segmentation_decoder.pixel_decoder.output.{3 - i}" for i in range(4)},
    **{f"mst_stage{i}": f"segmentation_decoder.scales.blocks.{i}" for i in range(3)},
    "mst": "segmentation_decoder.scales",
    "preliminary": "segmentation_decoder.preliminary",
    "arm_final": "segmentation_decoder.dilated",
}
SPECIAL = {"sfe_vi1", "sfe_vi2", "inn", "aspp2", "aspp3"}
UNUSED = {"aspp0", "aspp1"}  # computed and dropped by the release, not computed by us


@pytest.fixture(scope="module")
def official() -> dict[str, Tensor]:
    entries = json.loads((GOLDEN / "official_keys.json").read_text())["entries"]
    return {
        key: torch.from_numpy(np.asarray(golden_tensor(key, shape, dtype)))
        for key, (shape, dtype, *_) in entries.items()
    }


@pytest.fixture(scope="module")
def network(official: dict[str, Tensor]) -> Mafs:
    checkpoint = convert_official_state_dict(official)
    network = build_model("mafs", **checkpoint.overrides)
    network.load_state_dict(checkpoint.state_dict)  # strict
    return network.eval()


def capture(network: Mafs) -> tuple[dict[str, Tensor], Callable[[], None]]:
    """Record the intermediates of the next forward pass."""
    seen: dict[str, Tensor] = {}

    def record(name: str) -> Callable:
        def hook(_, __, output) -> None:
            seen[name] = torch.cat(output, 1) if isinstance(output, tuple) else output

        return hook

    handles = [
        network.get_submodule(module).register_forward_hook(record(name))
        for name, module in MODULES.items()
    ]

    def sfe(_, __, output) -> None:
        seen["sfe_vi1"], seen["sfe_vi2"] = output

    def context(_, __, output) -> None:
        seen["aspp3" if "aspp2" in seen else "aspp2"] = output

    def before_output(_, inputs) -> None:
        seen["inn"] = inputs[0]

    decoder, segmentation = network.fusion_decoder, network.segmentation_decoder
    handles.append(network.encoder.visible_sfe.register_forward_hook(sfe))
    handles.append(segmentation.context.register_forward_hook(context))
    handles.append(decoder.output.register_forward_pre_hook(before_output))
    return seen, lambda: [handle.remove() for handle in handles]


@pytest.mark.parametrize("name", NETWORK_FILES)
def test_every_golden_array_is_reproduced(name: str, network: Mafs) -> None:
    golden = np.load(GOLDEN / f"{name}.npz")
    visible, infrared = golden_pair(*(int(golden[k]) for k in ("seed", "batch", "h", "w")))
    seen, remove = capture(network)
    try:
        with torch.no_grad():
            output = network(torch.from_numpy(visible), torch.from_numpy(infrared))
    finally:
        remove()
    seen |= {"fused": output.fused, "semantic": output.logits}
    seen |= {f"aux{i}": maps for i, maps in enumerate(output.aux, 1)}
    stored = {key.removeprefix("shape_") for key in golden.files if key.startswith("shape_")}
    assert stored - UNUSED <= seen.keys()
    for key in sorted(stored - UNUSED):
        ours, stride, channels = (
            seen[key].numpy(),
            golden[f"stride_{key}"],
            golden[f"cstride_{key}"],
        )
        assert ours.shape == tuple(golden[f"shape_{key}"]), key
        atol, rtol = (2e-5, 0) if key in OUTPUTS else (2e-4, 1e-4)
        np.testing.assert_allclose(
            ours[:, ::channels, ::stride, ::stride], golden[key], rtol, atol, err_msg=key
        )


def test_dead_entries_are_dropped_and_counted(official: dict[str, Tensor]) -> None:
    entries = json.loads((GOLDEN / "official_keys.json").read_text())["entries"]
    dead = convert_official_state_dict(official).dead
    # num_batches_tracked carries its module's mark only by convention.
    marked = {key for key, (_, _, mark, _) in entries.items() if mark == "dead"}
    assert {key for key in dead if "num_batches" not in key} == {
        key for key in marked if "num_batches" not in key
    }
    assert sum(official[k].numel() for k in dead if entries[k][3] == "param") == 1_278_125


def test_parameters_of_the_release_are_all_accounted_for(network: Mafs) -> None:
    auxiliary = sum(p.numel() for n, p in network.named_parameters() if ".auxiliary." in n)
    total = sum(p.numel() for p in network.parameters())
    assert auxiliary == 1_271_667
    assert total - auxiliary == 126_638_036  # 126.64 M run on a robot


@pytest.mark.parametrize(
    "wrap", [lambda s: {"MTAN": s}, lambda s: {f"module.{k}": s[k] for k in s}]
)
def test_released_wrappings_are_understood(wrap, official: dict[str, Tensor]) -> None:
    assert convert_official_state_dict(wrap(official)).overrides == {
        "num_classes": 15,
        "released_dem_gate": True,
    }


def test_class_count_comes_from_the_weights(official: dict[str, Tensor]) -> None:
    nine = {
        key: value[:9] if value.ndim and value.shape[0] == 15 else value
        for key, value in official.items()
    }
    assert convert_official_state_dict(nine).overrides["num_classes"] == 9


def test_entries_that_do_not_fit_are_named(official: dict[str, Tensor]) -> None:
    broken = dict(official)
    del broken["encoder.EAEF3.T_c"]
    broken["encoder.extra.weight"] = torch.zeros(1)
    broken["encoder.low_fuse3.cam.gamma"] = torch.zeros(2)
    with pytest.raises(OfficialCheckpointError) as error:
        convert_official_state_dict(broken)
    text = str(error.value)
    assert "missing: encoder.interaction.1.temperature" in text
    assert "unexpected: encoder.extra.weight" in text
    assert "encoder.low_fuse3.cam.gamma: got [2], expected [1]" in text


def test_another_network_is_refused() -> None:
    with pytest.raises(OfficialCheckpointError, match="not a stage-2 checkpoint"):
        convert_official_state_dict({"conv.weight": torch.zeros(1)})
