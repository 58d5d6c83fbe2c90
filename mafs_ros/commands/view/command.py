"""`mafs view`: the live streams of cameras and node in a browser, without internet.

Needs ROS 2 and requirements/viewer.txt (rerun). Rerun runs as a process that listens on this
machine alone, with its usage statistics off. Its page, which would ask the internet for fonts,
examples and news, is handed on by PageServer under a policy that forbids that.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

from mafs_ros.commands.view.rerun_process import HOST, connect, free_port, start_rerun, stop
from mafs_ros.commands.view.stream import show_topics, topics_of

EXAMPLE = """\
examples:
  mafs view
  mafs view --rgb-topic /camera/color/image_raw --thermal-topic /flir/image_raw --namespace robot

Open the address that it prints in a browser on this machine (from another one:
ssh -L PORT:127.0.0.1:PORT -L 9876:127.0.0.1:9876 ROBOT). Ctrl-C ends it."""


def add_parser(commands) -> None:
    """Add `mafs view` to the sub-commands of `mafs`."""
    parser = commands.add_parser(
        "view",
        help="live images in a browser, offline",
        epilog=EXAMPLE,
        description="Shows rgb, thermal, fused and overlay images as they are published.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rgb-topic", metavar="TOPIC", default="rgb/image")
    parser.add_argument("--thermal-topic", metavar="TOPIC", default="thermal/image")
    parser.add_argument(
        "--namespace",
        metavar="NS",
        default="",
        help="namespace of the node and of relative topics",
    )
    parser.add_argument(
        "--confidence", action="store_true", help="a panel of how sure each label is, too"
    )
    parser.add_argument("--port", metavar="N", type=int, default=9090, help="default: 9090")
    parser.add_argument(
        "--data-port", metavar="N", type=int, default=9876, help="for the pictures; default: 9876"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C. Raises ImportError, OSError or RuntimeError."""
    if importlib.util.find_spec("rerun") is None:
        raise ImportError("rerun is not installed: pip install -r requirements/viewer.txt")
    from mafs_ros.commands.view.page_server import PageServer

    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mafs_view_")))
        web_port = free_port()
        process = start_rerun(home, args.data_port, web_port)
        stack.callback(stop, process)
        data = f"rerun+http://{HOST}:{args.data_port}/proxy"
        stack.enter_context(PageServer(HOST, args.port, web_port, args.data_port))
        topics = topics_of(args)
        picture = connect(data, list(topics))
        stack.callback(picture.disconnect)
        print(
            f"http://{HOST}:{args.port}/?hide_welcome_screen&url={quote(data, safe='')}",
            flush=True,
        )
        show_topics(topics, picture)
    return 0
