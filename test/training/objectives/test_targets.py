"""Boundary and binary targets on arrays small enough to work out by hand."""

from __future__ import annotations

import pytest
import torch

from training.objectives.targets import IGNORE, binary_target, boundary_target

X = IGNORE


def test_binary_keeps_ignored() -> None:
    labels = torch.tensor([[[0, 1, 8], [X, 0, 2]]])
    assert binary_target(labels).tolist() == [[[0, 1, 1], [X, 0, 1]]]


def test_boundary_of_one_pixel_is_its_neighbourhood() -> None:
    labels = torch.zeros(1, 5, 6, dtype=torch.int64)
    labels[0, 2, 1] = 3
    target = boundary_target(labels, radius=1)
    assert target.tolist() == [
        [
            [0, 0, 0, 0, 0, 0],
            [1, 1, 1, 0, 0, 0],
            [1, 1, 1, 0, 0, 0],
            [1, 1, 1, 0, 0, 0],
            [0, 0, 0, 0, 0, 0],
        ]
    ]


def test_boundary_between_classes_has_the_radius_on_both_sides() -> None:
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2]).repeat(1, 3, 1)
    assert boundary_target(labels, 1)[0, 1].tolist() == [0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0]
    assert boundary_target(labels, 2)[0, 1].tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0]
    assert torch.equal(boundary_target(labels), boundary_target(labels, 2))


def test_image_border_is_no_boundary() -> None:
    for value in (0, 7):
        labels = torch.full((2, 4, 5), value)
        assert not boundary_target(labels).any()


def test_boundary_near_ignored_pixels() -> None:
    # Left: next to ignored pixels nobody can tell. Right: the edge from 0 to 1 is seen.
    labels = torch.tensor([[[0, 0, X, 0, 0, 0, 0, 1, X, X]]])
    assert boundary_target(labels, 1).tolist() == [[[0, X, X, X, 0, 0, 1, 1, X, X]]]
    assert (boundary_target(torch.full((1, 3, 3), X)) == X).all()


def test_samples_do_not_mix_and_types() -> None:
    labels = torch.stack([torch.zeros(4, 4), torch.ones(4, 4)]).to(torch.uint8)
    target = boundary_target(labels)
    assert not target.any()
    assert target.dtype == binary_target(labels).dtype == torch.int64
    assert binary_target(labels)[1].all()


def test_radius_is_checked() -> None:
    with pytest.raises(ValueError, match="radius is 0"):
        boundary_target(torch.zeros(1, 2, 2, dtype=torch.int64), 0)
