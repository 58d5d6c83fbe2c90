"""`mafs complexity`: multiply-accumulates and parameters of a network, per module."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

from mafs_ros.commands.options import image_size

if TYPE_CHECKING:
    from mafs_ros.model import Mafs

EXAMPLE = """\
examples:
  mafs complexity --preset mafs --size 640x480
  mafs complexity --preset mafs --tasks segmentation
  mafs complexity --preset mafs-lite --classes 4 --deployed

One multiply-accumulate counts as one (GMAC), as fvcore counts: convolutions, matrix products,
normalisations and resizes; the convention of Table XIII of the paper."""
TASKS = {
    "both": {},
    "fusion": {"segmentation": False},
    "segmentation": {"fusion": False},
}


class Row(NamedTuple):
    """A module's name, giga multiply-accumulates and million parameters."""

    module: str
    gmac: float
    mparams: float


def add_parser(commands) -> None:
    """Add `mafs complexity` to the sub-commands of `mafs`."""
    parser = commands.add_parser(
        "complexity",
        help="count multiply-accumulates and parameters",
        epilog=EXAMPLE,
        description="Count the multiply-accumulates and parameters of a network per module.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--preset", default="mafs", help="mafs or mafs-lite; default: mafs")
    parser.add_argument("--size", type=image_size, default=(480, 640), metavar="WxH")
    parser.add_argument("--classes", type=int, default=9, help="class count; default: 9")
    parser.add_argument("--tasks", choices=TASKS, default="both", help="default: both")
    parser.add_argument(
        "--deployed", action="store_true", help="without the auxiliary heads, as a robot runs it"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the table; raises ValueError for an unknown preset."""
    from mafs_ros.model import build_model

    network = build_model(
        args.preset, args.classes, auxiliary=not args.deployed, **TASKS[args.tasks]
    )
    print(f"{args.preset}, {args.classes} classes, {args.size[1]}x{args.size[0]}")
    for module, gmac, mparams in count(network, args.size):
        print(f"  {module:42} {gmac:9.3f} GMAC {mparams:9.3f} M parameters")
    return 0


def count(network: Mafs, size: tuple[int, int]) -> list[Row]:
    """Count a network on one pair of `size` (height, width): a row per module, the total last.

    Raises ImportError where fvcore is not installed.
    """
    import logging

    import torch
    from fvcore.nn import FlopCountAnalysis

    from mafs_ros.model.inn import HalfInstanceNorm

    images = torch.rand(1, 3, *size), torch.rand(1, 1, *size)
    # fvcore counts 5 per value of an instance normalisation; it cannot see ours, which is
    # written as a scale and shift.
    normalised: dict[str, float] = {}
    hooks = [
        module.register_forward_hook(
            lambda m, _, out, name=name: normalised.update(
                {name: 5 * out.numel() * len(m.weight) / out.shape[1]}
            )
        )
        for name, module in network.named_modules()
        if isinstance(module, HalfInstanceNorm)
    ]
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    with torch.no_grad():
        macs = FlopCountAnalysis(network.eval(), images).by_module()
    for hook in hooks:
        hook.remove()
    rows = []
    for name in [*_parts(network), ""]:
        extra = sum(
            v for key, v in normalised.items() if f"{key}.".startswith(f"{name}.") or not name
        )
        parameters = sum(p.numel() for p in network.get_submodule(name).parameters())
        rows.append(Row(name or "total", (macs[name] + extra) / 1e9, parameters / 1e6))
    return rows


def _parts(network: Mafs) -> list[str]:
    """Names of the modules two levels down, which are the paper's."""
    return [
        f"{outer}.{inner}"
        for outer, child in network.named_children()
        for inner, _ in child.named_children()
    ]
