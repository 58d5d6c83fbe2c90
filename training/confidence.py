"""Measure how true the published confidence is, and calibrate it by a temperature.

    python -m training.confidence --weights model.safetensors --data street_rgbt=DIR --fit val
    python -m training.confidence --weights model.safetensors --data street_rgbt=DIR

The first finds the temperature with which the softmax fits the labels of a split best (least
negative log likelihood, fp32), and writes it into the model file; the weights stay what they are,
and so do the checks of precisions beside them. Both then print the expected calibration error on
--split, of the bytes that the engine gives and the node publishes.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from mafs_ros.base.backend_names import ALL_PRECISIONS, BACKENDS
from mafs_ros.engine import Engine, create_engine
from mafs_ros.engine.cache_folder import default_cache_dir
from mafs_ros.engine.checks import keep_checks
from mafs_ros.evaluation.metrics import CalibrationError
from mafs_ros.model.mafs import Mafs
from mafs_ros.model.weights import load_weights, save_weights
from mafs_ros.perception.classes import ClassTable
from training.data.datasets import Dataset, open_dataset
from training.data.layouts import LABELLINGS
from training.data.samples import IGNORE, Sample
from training.data.tensors import images
from training.evaluate import check_tables
from training.recipes.options import add_data_argument, data_folders, report_errors
from training.scoring.predict import batch_of
from training.scoring.tables import markdown

STRIDE = 2  # every second row and column tells the temperature
STEPS = 50


def main(argv: Sequence[str] | None = None) -> int:
    """Calibrate and measure what the options name."""
    args = _parse(argv)
    return report_errors(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Raises ValueError or OSError that says what is wrong."""
    folders = data_folders(args.data)
    if len(folders) != 1:
        raise ValueError(f"got {len(folders)} data sets, expected one: --data KIND=DIR")
    ((kind, folder),) = folders.items()
    network, info = load_weights(args.weights)

    def labelled(split: str) -> Dataset:
        dataset = open_dataset(kind, folder, split, labels=args.labels)
        if dataset.class_table is None:
            raise ValueError(f"{kind} {split} with --labels {args.labels} has no labels")
        check_tables(ClassTable.from_dict(info.class_table), dataset.class_table)
        return dataset

    if args.fit:
        samples = labelled(args.fit)
        temperature = best_temperature(*logits_of(network, tqdm(samples, disable=None)))
        facts = {
            "temperature": round(temperature, 4),
            "data": f"{kind} {args.fit}, {len(samples)} pairs",
        }
        with keep_checks(args.weights):
            save_weights(args.weights, network, dataclasses.replace(info, confidence=facts))
        print(f"temperature {temperature:.4f} by {facts['data']}, written to {args.weights}")
    samples = labelled(args.split)
    engine = create_engine(
        args.backend, args.weights, precision=args.precision, cache_dir=default_cache_dir()
    )
    print(
        f"{kind} {args.split}, {len(samples)} pairs, labels {args.labels}; {engine.description}; "
        f"temperature {engine.model_info.temperature:g}\n"
    )
    print(table(*measure(engine, tqdm(samples, disable=None))))


@torch.inference_mode()
def logits_of(network: Mafs, samples: Iterable[Sample]) -> tuple[Tensor, Tensor]:
    """Logits float [N, K] and classes int64 [N] of the labelled pixels, one in STRIDE squared."""
    logits, classes = [], []
    for sample in samples:
        output = network(*images(batch_of(sample), torch.float32)).logits
        assert output is not None and sample.labels is not None
        thinned = output[0, :, ::STRIDE, ::STRIDE].flatten(1).T
        labels = torch.from_numpy(sample.labels[::STRIDE, ::STRIDE].astype(np.int64)).flatten()
        logits.append(thinned[labels != IGNORE])
        classes.append(labels[labels != IGNORE])
    return torch.cat(logits), torch.cat(classes)


def best_temperature(logits: Tensor, classes: Tensor) -> float:
    """The temperature of the least negative log likelihood of classes [N] by logits [N, K]."""
    logits, classes = logits.clone(), classes.clone()  # out of inference mode
    logarithm = torch.zeros((), requires_grad=True)
    optimiser = torch.optim.LBFGS([logarithm], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(logits / logarithm.exp(), classes)
        value.backward()
        return value

    optimiser.step(loss)
    return float(logarithm.detach().exp())


def measure(
    engine: Engine, samples: Iterable[Sample]
) -> tuple[CalibrationError, CalibrationError]:
    """The calibration error on all labelled pixels, and on those taken for an object alone."""
    everywhere, objects = CalibrationError(IGNORE), CalibrationError(IGNORE)
    for sample in samples:
        _, labels, confidence = engine.with_confidence(sample.rgb[None], sample.thermal[None])
        assert confidence is not None and sample.labels is not None
        everywhere.accumulate(sample.labels, labels[0], confidence[0])
        truth = np.where(labels[0] > 0, sample.labels, IGNORE)
        objects.accumulate(truth, labels[0], confidence[0])
    return everywhere, objects


def table(everywhere: CalibrationError, objects: CalibrationError) -> str:
    """Both as a Markdown table."""
    rows = [
        [
            name,
            f"{error.pixels.sum()}",
            f"{error.accuracy:.4f}",
            f"{error.mean_confidence:.4f}",
            f"{error.ece():.4f}",
        ]
        for name, error in (("all", everywhere), ("taken for an object", objects))
    ]
    return markdown(["Pixels", "Number", "Right", "Mean confidence", "ECE"], rows)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.confidence",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_argument(parser)
    parser.add_argument("--weights", type=Path, required=True, help="model file (.safetensors)")
    parser.add_argument(
        "--fit", metavar="SPLIT", help="split to find the temperature on, for the model file"
    )
    parser.add_argument("--split", default="test", help="to measure on; default: test")
    parser.add_argument(
        "--labels", default="network", choices=LABELLINGS, help="labelling; default: network"
    )
    parser.add_argument("--backend", default="auto", choices=("auto", *BACKENDS))
    parser.add_argument("--precision", default="auto", choices=("auto", *ALL_PRECISIONS))
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
