"""Stage-2 training: a few steps on a tiny data set, resumed; its loss and first weights."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from mafs_ros.model import build_model
from mafs_ros.model.mafs import MafsOutput
from mafs_ros.model.weights import ModelInfo, load_weights, save_weights
from training import stage2
from training.loop.trainer import make_fabric
from training.recipes.recipe import LossWeights, Recipe, load_recipe
from training.recipes.sources import open_sources
from training.teachers import build_teacher
from training.teachers.file import save_teacher

SIZE = (96, 128)


@pytest.fixture
def street(tmp_path: Path) -> Path:
    """A data set in the layout of street_rgbt with a warm bright square as the person."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("a", "b"):
            rgb = rng.integers(0, 255, (*SIZE, 3), np.uint8)
            thermal, labels = np.full(SIZE, 40, np.uint8), np.zeros(SIZE, np.uint8)
            labels[30:60, 40:80], thermal[30:60, 40:80] = 2, 220
            labels[:5] = 7  # a class the street table does not have
            for kind, image in (("vi", rgb), ("ir", thermal), ("label", labels)):
                folder = tmp_path / "street" / split / kind
                folder.mkdir(parents=True, exist_ok=True)
                suffix = ".jpg" if kind == "vi" else ".png"
                assert cv2.imwrite(str(folder / f"{name}{suffix}"), image)
    return tmp_path / "street"


def tiny(*extra: str, steps: int = 2) -> Recipe:
    plan = {"steps": steps, "batch": 2, "evaluate_every": 100, "checkpoint_every": 100}
    return load_recipe(
        "street_lite",
        [
            *(f"stage2.optimisation.{name}={value}" for name, value in plan.items()),
            "train=[{kind: street_rgbt}]",
            "evaluation=[{kind: street_rgbt, split: val}]",
            "stage2.distillation=none",
            "augmentation.crop=64",
            "imagenet=null",
            "workers=0",
            "cache=false",
            *extra,
        ],
    )


def train(street: Path, out: Path, steps: int) -> None:
    stage2.train(tiny(steps=steps), {"street_rgbt": street}, out, resume=True)


def test_trains_resumes_and_writes_a_model_file(street: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(street, out, 2)
    first = torch.load(out / "checkpoint.pt", weights_only=True)
    train(street, out, 4)
    second = torch.load(out / "checkpoint.pt", weights_only=True)
    assert (first["step"], second["step"]) == (2, 4)
    key = "network.fusion_decoder.output.weight"
    assert not torch.equal(first["learner"][key], second["learner"][key])
    _, info = load_weights(out / "model.safetensors")
    assert info.training["steps"] == 4
    assert "pseudo-labels" in info.training["about"] and "pseudo-labels" in info.licence
    assert "EN" in info.scores and "IoU_person" in info.scores


def test_the_best_weights_go_by_what_is_scored(street: Path) -> None:
    recipe = tiny()
    datasets = open_sources(recipe, recipe.evaluation, {"street_rgbt": street})
    unlabelled = SimpleNamespace(class_table=None)

    def first(**config: bool) -> str:
        network = build_model("mafs-lite", 4, auxiliary=False, **config)
        return stage2.score_names(network, datasets)[0]

    assert (first(), first(fusion=False), first(segmentation=False)) == ("mIoU", "mIoU", "VIF")
    network = build_model("mafs-lite", 4, auxiliary=False)
    assert stage2.score_names(network, [unlabelled])[0] == "VIF"
    scores = stage2.validate(datasets, make_fabric(recipe.stage2.optimisation), network.eval())
    assert set(scores.scores) == set(stage2.score_names(network, datasets))


def test_loss_terms_are_those_of_the_paper() -> None:
    """A fused image equal to the pixel-wise maximum of flat sources has no fusion loss."""
    rgb, thermal = torch.full((1, 3, 16, 16), 0.25), torch.full((1, 1, 16, 16), 0.75)
    output = MafsOutput(torch.full((1, 1, 16, 16), 0.75), torch.zeros(1, 4, 16, 16), ())
    terms = stage2.fusion_terms(output, rgb, thermal, LossWeights())
    assert terms["intensity"] == 0
    assert terms["gradient"].item() == pytest.approx(0, abs=1e-6)
    labels = torch.zeros(1, 16, 16).long()
    terms |= stage2.segmentation_terms(output, labels, tiny("stage2.segmentation.dice=0").stage2)
    assert list(terms) == ["intensity", "gradient", "segmentation"]
    assert terms["segmentation"].item() == pytest.approx(np.log(4))
    totals = stage2.task_losses(terms)
    assert totals["segmentation"] == terms["segmentation"] and totals["fusion"] is not None


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int, high: int = 256) -> torch.Tensor:
        return torch.randint(0, high, shape, generator=generator, dtype=torch.uint8)

    return {
        "rgb": draw(2, 3, 64, 64),
        "thermal": draw(2, 1, 64, 64),
        "labels": draw(2, 64, 64, high=4),
    }


@pytest.mark.parametrize(
    "balancing", ["equal", "uncertainty", "fairgrad", "dwa", "alpha_fair_dwa"]
)
def test_every_balancing_reaches_the_whole_network(balancing: str) -> None:
    learner = stage2.make_learner(tiny(f"stage2.balancing={balancing}"))
    loss, terms = learner.train()(batch())
    loss.backward()
    assert set(terms) == {"intensity", "gradient", "segmentation", *stage2.AUXILIARY}
    without = [name for name, p in learner.named_parameters() if p.grad is None]
    assert not without  # DistributedDataParallel waits for every gradient


def test_shared_parameters_are_those_that_both_tasks_use() -> None:
    learner = stage2.make_learner(tiny("stage2.balancing=fairgrad"))
    learner(batch())
    names = {id(p): name for name, p in learner.network.named_parameters()}
    shared = {names[id(p)] for p in learner.shared_parameters({})}
    assert "encoder.visible_trunk.stem.conv.weight" in shared
    assert "encoder.stem_fusion.gather.conv.weight" in shared
    assert not any(name.startswith(("fusion_decoder", "segmentation_decoder")) for name in shared)
    assert not any("trunk.stages.2" in name or "detail" in name for name in shared)


@pytest.mark.parametrize("learns", [False, True])
def test_a_teacher_stays_as_it_is_unless_joint(tmp_path: Path, learns: bool) -> None:
    table = tiny().class_table
    about = {"name": "segnext-t", "images": "fused", "class_table": table.to_dict()}
    path = tmp_path / "teacher.safetensors"
    save_teacher(path, build_teacher("segnext-t", table.num_classes), about)
    options = ["stage2.distillation=paper", f"stage2.teacher={'joint' if learns else 'frozen'}"]
    learner = stage2.make_learner(tiny(*options), None, path).train()
    assert learner.teacher is not None and learner.teacher.training == learns
    loss, terms = learner(batch())
    loss.backward()
    assert terms["distillation"] > 0 and ("teacher" in terms) == learns
    assert all((p.grad is not None) == learns for p in learner.teacher.parameters())


def random_file(path: Path, **config: object) -> dict[str, torch.Tensor]:
    """A model file of random entries, so that none is what another network begins with."""
    config = {**tiny().network_overrides, **config}
    other = build_model("mafs-lite", num_classes=4, auxiliary=False, **config)
    generator = torch.Generator().manual_seed(7)
    weights = {
        key: torch.rand(value.shape, generator=generator) if value.is_floating_point() else value
        for key, value in other.state_dict().items()
    }
    other.load_state_dict(weights)
    save_weights(path, other, ModelInfo("mafs-lite", config, tiny().class_table.to_dict()))
    return weights


def test_stage_2_takes_from_stage_1_what_algorithm_1_names(tmp_path: Path) -> None:
    """SFE, AFM, PHF, backbone and CAM; DEM, refinement and both decoders start anew."""
    everywhere = {"dem_levels": [0, 1, 2, 3]}
    path = tmp_path / "one.safetensors"
    first = random_file(path, segmentation=False, **everywhere)
    recipe = tiny(f"network.dem_levels={everywhere['dem_levels']}")
    fresh = stage2.make_learner(recipe).network.state_dict()
    own = stage2.make_learner(recipe, path).network.state_dict()
    floats = [key for key, value in own.items() if value.is_floating_point()]
    taken = [key for key in floats if key in first and torch.equal(own[key], first[key])]
    assert {".".join(key.split(".")[:2]) for key in taken} == {
        *("encoder.visible_sfe", "encoder.infrared_sfe"),
        *("encoder.stem_fusion", "encoder.detail_fusion"),
        *("encoder.stem_progressive", "encoder.detail_progressive"),
        *("encoder.visible_trunk", "encoder.infrared_trunk"),
        "encoder.deep_fusion",
    }
    rest = set(floats) - set(taken)
    assert all(torch.equal(own[key], fresh[key]) for key in rest)
    in_stage1 = {".".join(key.split(".")[:2]) for key in rest & first.keys()}
    assert {"encoder.interaction", "encoder.refinement"} < in_stage1
    assert all(name.startswith("fusion_decoder.") for name in in_stage1 if "encoder" not in name)
    # Whole modules: of the trunks and CAM that which stage 1 trains, its first stage.
    assert not {key for key in rest & first.keys() if "trunk" in key or "deep_fusion" in key}
    assert {key.split(".")[2] for key in taken if "deep_fusion" in key} == {"0"}
    with pytest.raises(ValueError, match="do not fit this network"):
        stage2.make_learner(tiny("network.fusion_width=64"), path)


def test_stage_2_goes_on_from_all_of_an_earlier_stage_2(tmp_path: Path) -> None:
    earlier = random_file(tmp_path / "two.safetensors")
    fresh = stage2.make_learner(tiny()).network.state_dict()
    own = stage2.make_learner(tiny(), tmp_path / "two.safetensors").network.state_dict()
    for key, value in own.items():  # auxiliary heads are not in the file
        assert torch.equal(value, earlier.get(key, fresh[key])), key


def test_stage_1_gives_the_deeper_stages_no_gradient() -> None:
    """Why it is built without them: what it reconstructs from ends with F3."""
    network = tiny("network.auxiliary=false").build_network()
    visible, infrared = torch.rand(2, 3, 64, 64), torch.rand(2, 1, 64, 64)
    network(visible, infrared).fused.square().mean().backward()
    without = [name.split(".") for name, p in network.encoder.named_parameters() if p.grad is None]
    assert {".".join(parts[: 3 if "trunk" in parts[0] else 2]) for parts in without} == {
        *(f"{trunk}_trunk.stages.{n}" for trunk in ("visible", "infrared") for n in (1, 2, 3)),
        *(f"deep_fusion.{n}" for n in (1, 2, 3)),
        *(f"interaction.{n}" for n in (2, 3)),
    }


def test_options_of_another_balancing_are_refused() -> None:
    with pytest.raises(ValueError, match="balancing_options: equal has no option 'alpha'"):
        stage2.make_learner(tiny("stage2.balancing=equal", "stage2.balancing_options={alpha: 1}"))
