"""Accuracy checks stored beside a model file: which precisions it may run in.

`mafs quantize` writes them. `NAME.safetensors` then has beside it `NAME.640x480.json` (width x
height) with what was measured in every precision and, if int8 lost no more than was allowed, the
int8 model `NAME.640x480.int8.xml` with its `.bin`. A check counts for the very weights and graph
code that it was made with, and an int8 model for its image size alone.
"""

from __future__ import annotations

import contextlib
import glob
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mafs_ros.base.faults import Fault
from mafs_ros.base.write import write_bytes
from mafs_ros.engine.fingerprint import code_hash, file_hash

log = logging.getLogger(__name__)

FORMAT = 1


@dataclass(frozen=True)
class Check:
    """One stored check. size: height and width; facts: what `mafs quantize` wrote."""

    size: tuple[int, int]
    int8_model: Path
    facts: dict[str, Any]

    @property
    def passed(self) -> list[str]:
        """The precisions that passed, fastest first; by the times measured with the check."""
        results = self.facts["precisions"]
        names = [name for name, result in results.items() if result["passed"]]
        return sorted(names, key=lambda name: results[name]["median_ms"])

    def int8_fault(self) -> str:
        """Why there is no int8 model to be used; empty where there is one."""
        result = self.facts["precisions"].get("int8", {})
        if "sha256" not in result:
            return result.get("refused", "none was made")
        try:
            found = file_hash(self.int8_model, self.int8_model.with_suffix(".bin"))
        except OSError as error:
            return f"it cannot be read ({error.filename}: {error.strerror})"
        return "" if found == result["sha256"] else "its files are not those that were checked"


def check_file(weights: Path, size: tuple[int, int]) -> Path:
    """Where the check of a model file for images of height, width is kept."""
    return weights.with_name(f"{weights.stem}.{size[1]}x{size[0]}.json")


def int8_file(weights: Path, size: tuple[int, int]) -> Path:
    """Where the int8 model for images of height, width is kept (.xml, and .bin beside it)."""
    return check_file(weights, size).with_suffix(".int8.xml")


def read_checks(weights: Path) -> dict[tuple[int, int], Check]:
    """The checks that count for a model file, by image size.

    One line on the log says why a check beside it does not count. Raises OSError where the model
    file itself cannot be read.
    """
    checks = {}
    for file in sorted(weights.parent.glob(f"{glob.escape(weights.stem)}.*x*.json")):
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))
            height, width = facts["size"]
            fault = _fault(facts, weights)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            fault = f"it cannot be read ({error!r})"
        if fault:
            log.warning(
                "%s is not used: %s; `mafs quantize` makes a new one",
                file.name,
                fault,
                extra=Fault.ENGINE_CHECK.extra,
            )
        else:
            size = int(height), int(width)
            checks[size] = Check(size, int8_file(weights, size), facts)
    return checks


def int8_fault(checks: dict[tuple[int, int], Check], size: tuple[int, int]) -> str:
    """Why no int8 model is to be used for images of height, width; empty where one is."""
    check = checks.get(size)
    return check.int8_fault() if check else "`mafs quantize` has made no model for this size"


@contextlib.contextmanager
def keep_checks(weights: Path) -> Iterator[None]:
    """While the description in a model file is rewritten, and no weight of it changes.

    The checks that counted before count afterwards. Raises OSError.
    """
    kept = read_checks(weights)
    yield
    for size, check in kept.items():
        facts = {**check.facts, "weights_sha256": file_hash(weights)}
        write_bytes(check_file(weights, size), (json.dumps(facts, indent=2) + "\n").encode())


def _fault(facts: dict[str, Any], weights: Path) -> str:
    """Why a check does not count for these weights; empty where it does."""
    if facts["format"] != FORMAT:
        return f"it has format {facts['format']}, this version reads {FORMAT}"
    if facts["weights_sha256"] != file_hash(weights):
        return f"it was made for other weights than {weights.name}"
    if facts["code_sha256"] != code_hash("openvino"):
        return "the code of the network has changed since"
    for result in facts["precisions"].values():
        if result["passed"]:
            float(result["median_ms"])  # TypeError where it is missing
    return ""
