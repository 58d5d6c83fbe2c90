"""The studies in training/configs/studies: what every row names is built."""

from __future__ import annotations

import json

import pytest
import torch

from training import stage2
from training.objectives.balancing import make_balancing
from training.study.plan import STUDIES, load_study
from training.teachers import build_teacher

FILES = sorted(path.stem for path in STUDIES.glob("*.yaml"))


@pytest.mark.parametrize("name", FILES)
def test_every_row_of_every_study_builds(name: str) -> None:
    """Network, balancing and teacher; and stage 2 takes all that stage 1 trained."""
    compared = load_study(name)
    built: dict[str, torch.nn.Module] = {}
    for row in compared.rows:
        recipe = compared.recipe_of(row)
        small = {"backbone": "resnet50"} if recipe.network["preset"] == "mafs" else {}
        key = json.dumps(recipe.network)
        with torch.device("meta"):
            if key not in built:
                built[key] = recipe.build_network(**small)
                first = recipe.build_network(segmentation=False, **small).encoder.state_dict()
                whole = built[key].encoder.state_dict()
                assert {k: v.shape for k, v in first.items()}.items() <= {
                    k: v.shape for k, v in whole.items()
                }.items()
            stage = recipe.stage2
            tasks = stage2.tasks_of(built[key])
            make_balancing(stage.balancing, stage.balancing_options, tasks)
            if recipe.teacher.name not in built:
                built[recipe.teacher.name] = build_teacher(recipe.teacher.name, 9)
        others = [other for other in compared.rows if other is not row]
        same = [o.name for o in others if compared.stages_of(o) == compared.stages_of(row)
                and compared.recipe_of(o) == recipe]  # fmt: skip
        assert not same, f"{row.name} is {same}"


def test_table_ix_has_the_numerals_of_the_paper() -> None:
    compared = load_study("table_ix")
    names = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "ours"]
    assert [row.name for row in compared.rows] == names
    assert compared.recipe_of(compared.base_row).evaluation[0].split == "test"
    configs = {}
    for row in compared.rows:
        with torch.device("meta"):
            network = compared.recipe_of(row).build_network(backbone="resnet50")
        configs[row.name] = network.config
    assert [len(configs[name].phf_levels) for name in names] == [0, 1, 1, 1, 4, 3, 2, 0, 1, 1]
    assert [name for name, c in configs.items() if not c.mst] == ["I", "II", "III"]
    assert [name for name, c in configs.items() if c.inn_blocks == 0] == ["I", "II", "IV"]
    assert [name for name, c in configs.items() if c.deep_only] == ["IX"]
    assert [name for name, c in configs.items() if not c.phf] == ["I"]
