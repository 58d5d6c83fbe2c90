"""`mafs engine`: build the engines of a robot before it drives; list, clear, look into them."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mafs_ros.base.errors import one_line
from mafs_ros.commands.options import add_engine_options, add_size_option, positive

if TYPE_CHECKING:
    from mafs_ros.engine import Engine
    from mafs_ros.engine.cache import Entry

SHOWN_LAYERS = 20
EXAMPLE = """\
examples:
  mafs engine build --backend tensorrt --size 640x480
  mafs engine inspect --size 640x480                     # layers, precision, memory, times
  mafs engine list
  mafs engine clear                                      # all
  mafs engine clear tensorrt-fp16-640x480-1f0c...        # by name, as listed

An engine is good for the machine, versions, weights and image size that it was built for, and is
built anew by whoever needs another one. The node builds its own when it is configured, if it is
told the image size; built here, that takes it no time."""


def add_parser(commands) -> None:
    """Add `mafs engine` to the sub-commands of `mafs`."""
    parser = commands.add_parser(
        "engine",
        help="build, list, clear and look into compiled engines",
        epilog=EXAMPLE,
        description="Build, list and clear the compiled engines in the cache folder, and look "
        "into them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    build = actions.add_parser("build", help="build the engine for one image size and keep it")
    build.set_defaults(run=run_build)
    inspect = actions.add_parser(
        "inspect",
        help="print layers, precision, memory and times of one, built where it is not kept",
    )
    inspect.set_defaults(run=run_inspect)
    inspect.add_argument(
        "--layers",
        metavar="N",
        type=positive,
        default=SHOWN_LAYERS,
        help=f"layers to print, slowest first; default: {SHOWN_LAYERS}",
    )
    for action in (build, inspect):
        action.add_argument(
            "--weights",
            metavar="FILE",
            type=Path,
            help="model file (.safetensors); default: the one shipped",
        )
        add_engine_options(action)
        add_size_option(action)
        action.add_argument(
            "--workspace-mb",
            metavar="MIB",
            type=workspace,
            default=0,
            help="as the parameter workspace_mb of the node; default: 0, TensorRT's choice",
        )
    listing = actions.add_parser("list", help="list what is kept")
    listing.set_defaults(run=run_list)
    clear = actions.add_parser("clear", help="remove all that is kept, or the engines named")
    clear.add_argument("names", metavar="NAME", nargs="*", help="as listed; default: all")
    clear.set_defaults(run=run_clear)
    for action in (build, inspect, listing, clear):
        action.add_argument(
            "--cache-dir",
            metavar="DIR",
            type=Path,
            help="default: mafs_ros below $XDG_CACHE_HOME or ~/.cache, as for the node",
        )


def run_build(args: argparse.Namespace) -> int:
    """Build, with progress on stderr; raises OSError where the engine could not be kept."""
    from mafs_ros.engine.cache_folder import usable

    show_progress()
    folder = cache_folder(args)
    if usable(folder) is None:
        raise OSError(f"nothing is built, because it could not be kept in {folder}")
    before = {entry.path.name for entry in kept(folder)}
    engine = engine_of(args)
    engine.prepare(*args.size)
    engine.close()
    new = [entry for entry in kept(folder) if entry.path.name not in before]
    for entry in new:
        print(f"{describe(entry)}, built in {entry.build_s:.0f} s")
    print(f"{engine.description}: ready in {folder}" + ("" if new else ", nothing to build"))
    return 0


def run_inspect(args: argparse.Namespace) -> int:
    """Print what is in an engine; raises ValueError for a backend that compiles none."""
    from mafs_ros.commands.engine_inspect import as_text

    show_progress()
    engine = engine_of(args)
    found = engine.inspect(*args.size)
    print(engine.description)
    print(as_text(found, args.layers))
    engine.close()
    return 0


def engine_of(args: argparse.Namespace) -> Engine:
    from mafs_ros.base.resources import default_weights
    from mafs_ros.engine import create_engine

    return create_engine(
        args.backend,
        args.weights or default_weights(),
        precision=args.precision,
        cache_dir=cache_folder(args),
        workspace_mb=args.workspace_mb,
    )


def run_list(args: argparse.Namespace) -> int:
    folder = cache_folder(args)
    found = kept(folder)
    for entry in found:
        print(describe(entry))
        print("  " + ", ".join(f"{key} {value}" for key, value in entry.facts.items()))
    print(f"{len(found)} engines in {folder}")
    return 0


def run_clear(args: argparse.Namespace) -> int:
    """Remove; returns 1 where one could not be removed. Raises ValueError for unknown names."""
    from mafs_ros.engine.cache import remove
    from mafs_ros.engine.cache_folder import clear_compiled

    folder = cache_folder(args)
    found = {entry.path.name: entry for entry in kept(folder)}
    if unknown := [name for name in args.names if name not in found]:
        raise ValueError(f"{folder} holds no engine {unknown[0]!r}: `mafs engine list` names them")
    failed = 0
    for name in args.names or found:
        try:
            remove(found[name])
        except OSError as error:
            print(f"mafs engine: {one_line(error)}", file=sys.stderr)
            failed += 1
    if not args.names:
        clear_compiled(folder)
    print(f"{len(args.names or found) - failed} engines removed from {folder}")
    return 1 if failed else 0


def workspace(text: str) -> int:
    """Parse MiB from 0; raises argparse.ArgumentTypeError."""
    if not re.fullmatch(r"\d{1,7}", text):
        raise argparse.ArgumentTypeError(f"expected MiB such as 1024, got {text!r}")
    return int(text)


def cache_folder(args: argparse.Namespace) -> Path:
    from mafs_ros.engine.cache_folder import default_cache_dir

    return args.cache_dir or default_cache_dir()


def kept(folder: Path) -> list[Entry]:
    from mafs_ros.engine.cache import entries

    return entries(folder)


def describe(entry: Entry) -> str:
    return f"{entry.path.name}: {entry.size_bytes / 1e6:.1f} MB of {entry.built}"


def show_progress() -> None:
    """Show on stderr what the engines log."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("mafs_ros")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
