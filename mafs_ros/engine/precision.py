"""Which precision is taken for an image size, by the stored checks."""

from __future__ import annotations

from mafs_ros.engine.checks import Check, int8_fault

Size = tuple[int, int]  # height, width


def _passed(check: Check | None, checks: dict[Size, Check]) -> list[str]:
    """Precisions that passed, fastest first; at other sizes than checked all but int8 count."""
    if check is not None:
        return check.passed
    if not checks:
        return []
    everywhere = set.intersection(*(set(other.passed) for other in checks.values())) - {"int8"}
    return [name for name in next(iter(checks.values())).passed if name in everywhere]


def choose_precision(
    wished: str, size: Size, checks: dict[Size, Check], native: list[str]
) -> tuple[str, str]:
    """The precision for an image size, and why it is not the one wished for.

    checks: the stored ones, by size. native: what the processor has, see `native_precisions`.
    """
    if wished not in ("auto", "int8"):
        return wished, ""
    check = checks.get(size)
    fault = int8_fault(checks, size)
    if check is not None and "int8" not in native:
        fault = "this CPU has no fast int8"
    if wished == "int8" and not fault:
        return "int8", ""
    for name in _passed(check, checks):
        if name in native and (name != "int8" or not fault):
            return name, "" if name == "int8" else f"no int8: {fault}"
    return "fp32", f"no int8: {fault}; no accuracy check of a faster precision passed"
