"""Scores of real pairs, pinned."""

import numpy as np
import pytest

from mafs_ros.evaluation import metrics
from mafs_ros.evaluation.metrics import FusionScores
from training.data.datasets import open_dataset
from training.scoring.baselines import fuse_plainly

ANCHORS = {
    'plain mean': {
        'EN': 5.6865, 'SD': 21.7945, 'SF': 5.8486, 'AG': 1.9999, 'VIF': 0.7339, 'Qabf': 0.3734,
        'weaker': 0.2389, 'glare': 0.5109,
    },
    'plain maximum': {
        'EN': 6.6179, 'SD': 40.9249, 'SF': 11.0562, 'AG': 3.5983, 'VIF': 1.1025, 'Qabf': 0.7513,
        'hot': 1.0, 'weaker': 0.2865, 'glare': 0.4247,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ANCHORS)
def test_anchors_on_street_rgbt(shared_data, name):
    """The 42 test pairs: mean of the sources and their pixel-wise maximum."""
    scores = FusionScores()
    for sample in open_dataset("street_rgbt", shared_data / "street_rgbt", "test"):
        visible = metrics.luminance(sample.rgb)
        scores.accumulate(sample.thermal, visible, fuse_plainly(sample.thermal, visible)[name])
    assert len(scores.per_image) == 42
    assert sum(image["glare"] is not None for image in scores.per_image) == 34
    reached = scores.mean()
    assert {key: reached[key] for key in ANCHORS[name]} == pytest.approx(ANCHORS[name], abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "split", "name", "weaker", "glare"),
    [
        ("street_rgbt", "test", "copy of visible", 0.0573, 0.1496),
        ("fusion_pairs", "roadscene_test", "copy of visible", 0.0353, 0.1313),
        ("fusion_pairs", "roadscene_test", "plain mean", 0.2060, 0.4964),
        ("fusion_pairs", "roadscene_test", "plain maximum", 0.2580, 0.4416),
    ],
)
def test_anchors_of_weaker_and_glare(shared_data, kind, split, name, weaker, glare):
    """Other pairs of the same cameras gave values like these to those who defined the scores.

    43 street frames: .050 .14 (copy), .227 .51 (mean), .245 .42 (maximum); 35 of RoadScene:
    .044 .14, .228 .50, .275 .47.
    """
    reached = []
    for sample in open_dataset(kind, shared_data / kind, split):
        visible = metrics.luminance(sample.rgb)
        images = sample.thermal, visible, fuse_plainly(sample.thermal, visible)[name]
        reached.append((metrics.weaker(*images), metrics.glare(*images)))
    means = np.nanmean(np.array(reached, float), axis=0)  # None becomes NaN
    assert means == pytest.approx([weaker, glare], abs=1e-3)
