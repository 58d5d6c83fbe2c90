"""The command `mafs`: one sub-command per file or folder of `commands`, with add_parser and run.

Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from mafs_ros import __version__
from mafs_ros.base.errors import one_line
from mafs_ros.commands import bag, complexity, convert_checkpoint, engine, export, fuse, info
from mafs_ros.commands.benchmark import command as benchmark
from mafs_ros.commands.calibrate import command as calibrate
from mafs_ros.commands.fleet import command as fleet
from mafs_ros.commands.quantize import command as quantize
from mafs_ros.commands.replay import command as replay
from mafs_ros.commands.view import command as view

COMMANDS = (
    fuse,
    replay,
    fleet,
    bag,
    calibrate,
    view,
    info,
    convert_checkpoint,
    complexity,
    quantize,
    benchmark,
    engine,
    export,
)


def make_parser() -> argparse.ArgumentParser:
    """The parser with all sub-commands; builds without importing torch, OpenCV or ROS."""
    parser = argparse.ArgumentParser(
        prog="mafs",
        description="Thermal + RGB fusion and segmentation on files. "
        "The ROS 2 node is started with: ros2 launch mafs_ros mafs.launch.py",
    )
    parser.add_argument("--version", action="version", version=f"mafs_ros {__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run `mafs ARGV`; returns the exit code."""
    args = make_parser().parse_args(argv)
    try:
        code = args.run(args)
        sys.stdout.flush()  # a closed pipe shows here, not when the interpreter ends
        return code
    except KeyboardInterrupt:
        print(f"mafs {args.command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `mafs info | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ImportError as error:
        print(
            f"mafs {args.command}: {one_line(error)}; README.md says what to install",
            file=sys.stderr,
        )
        return 1
    except (OSError, ValueError, RuntimeError) as error:
        print(f"mafs {args.command}: {one_line(error)}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
