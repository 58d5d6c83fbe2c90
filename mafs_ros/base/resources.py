"""Finds the files shipped beside the code: class tables, weights, DDS profile, node defaults."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = "mafs_ros"


def share_roots() -> list[Path]:
    """The folders that may hold `config/` and `launch/`, nearest to the running code first.

    A source checkout (also reached by `pip install -e` and `colcon build --symlink-install`), the
    prefix that this package is installed in, the prefixes of the sourced ROS workspaces
    (AMENT_PREFIX_PATH), and the Python prefix.
    """
    package_dir = Path(__file__).resolve().parents[1]
    prefixes = [
        Path(prefix)
        for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
        if prefix
    ]
    if package_dir.parent.name in ("site-packages", "dist-packages"):
        prefixes.insert(0, package_dir.parents[3])  # PREFIX/lib/python3.X/site-packages/mafs_ros
    prefixes.append(Path(sys.prefix))
    roots = [prefix / "share" / PACKAGE for prefix in prefixes]
    if (package_dir.parent / "package.xml").is_file():
        roots.insert(0, package_dir.parent)
    return list(dict.fromkeys(roots))


def share_path(*parts: str) -> Path:
    """Absolute path of a shipped file or folder, e.g. `share_path('config', 'mafs.yaml')`.

    Raises FileNotFoundError naming every place looked at.
    """
    candidates = [root.joinpath(*parts) for root in share_roots()]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    places = ", ".join(str(candidate) for candidate in candidates)
    raise FileNotFoundError(
        f"{PACKAGE} does not find its file {'/'.join(parts)}; looked at: {places}. "
        "Is the workspace sourced, or the package installed?"
    )


def default_weights() -> Path:
    """The model file shipped with the package; raises FileNotFoundError as `share_path`."""
    return share_path("config", "weights", "mafs_lite_street.safetensors")
