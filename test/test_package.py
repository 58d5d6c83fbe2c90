"""The package as ROS, pip and a reader of the code see it."""

from __future__ import annotations

import ast
import os
import re
import runpy
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from catkin_pkg.package import Package, parse_package

import mafs_ros
from mafs_ros.base import resources

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "mafs_ros").rglob("*.py"))
SHIPPED = (
    "mafs_ros",
    "launch",
    "config",
    "scripts",
    "resource",
    "package.xml",
    "setup.py",
    "setup.cfg",
    "pyproject.toml",
    "LICENSE",
)

# What Python imports -> what package.xml calls it.
ROSDEP_KEYS = {
    "numpy": "python3-numpy",
    "cv2": "python3-opencv",
    "yaml": "python3-yaml",
    "tqdm": "python3-tqdm",
    "jinja2": "python3-jinja2",
    "matplotlib": "python3-matplotlib",
}
# What Python imports -> what pip calls it.
FROM_PIP = {
    "torch": "torch",
    "openvino": "openvino",
    "safetensors": "safetensors",
    "rosbags": "rosbags",
    "mcap": "mcap",
    "fvcore": "fvcore",
    "PIL": "pillow",
    "backports": "backports.zstd",
    "rerun": "rerun-sdk",
    "rerun_cli": "rerun-sdk",
    "nncf": "nncf",
    "ray": "ray",
    "fsspec": "fsspec",
    "tensorrt": "tensorrt-rtx",
    "tensorrt_rtx": "tensorrt-rtx",
    "torch_tensorrt": "torch-tensorrt-rtx",
    "onnx": "onnx",
}
NEW_IN_STDLIB = {"compression"}  # Python 3.14


def imports_of(path: Path) -> set[str]:
    """The dotted names that a file imports anywhere, in functions too."""
    names = set()
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = [*base, node.module] if node.module else base
            names |= {".".join([*origin, alias.name]) for alias in node.names}
    return names


def foreign_modules(path: Path) -> set[str]:
    tops = {name.split(".")[0] for name in imports_of(path)}
    return (
        tops
        - set(sys.stdlib_module_names)
        - NEW_IN_STDLIB
        - {"mafs_ros", "training", "__future__"}
    )


def declared_package() -> Package:
    return parse_package(str(ROOT / "package.xml"))


def test_the_command_line_starts_without_heavy_imports():
    program = (
        "import sys; from mafs_ros.cli import make_parser; make_parser(); "
        'heavy = {"torch", "cv2", "openvino", "rclpy", "numpy", "jinja2", "matplotlib"}; '
        "print(heavy & set(sys.modules))"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert output.strip() == "set()"


# package.xml, setup.py


def test_package_xml_is_valid_format_3():
    package = declared_package()
    warnings: list[str] = []
    package.validate(warnings)
    assert not warnings
    assert package.package_format == 3
    assert package.get_build_type() == "ament_python"
    assert [str(license) for license in package.licenses] == ["Apache-2.0"]
    assert "Apache License" in (ROOT / package.licenses[0].file).read_text(encoding="utf-8")


def test_one_version_everywhere():
    setup = re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text(encoding="utf-8"))
    changelog = re.search(r"^(\d+\.\d+\.\d+) \(", (ROOT / "CHANGELOG.rst").read_text(), re.M)
    assert setup and changelog
    assert {setup[1], changelog[1], declared_package().version} == {mafs_ros.__version__}


@pytest.mark.parametrize(
    ("arguments", "console"),
    [
        (["install", "--prefix", "/ws/install"], False),
        (["develop", "--no-deps"], False),
        (["bdist_wheel"], True),
        (["editable_wheel"], True),
    ],
)
def test_colcon_gets_no_console_script(monkeypatch, arguments, console):
    """It would have the interpreter of colcon, and lie over the script that finds a venv's."""
    made = {}
    monkeypatch.setattr("setuptools.setup", lambda **kwargs: made.update(kwargs))
    monkeypatch.setattr(sys, "argv", ["setup.py", *arguments])
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    assert bool(made["entry_points"]) is console
    (scripts,) = (files for place, files in made["data_files"] if place == "lib/mafs_ros")
    assert scripts == ["scripts/mafs", "scripts/mafs_cameras", "scripts/mafs_node"]


def test_every_import_is_declared():
    declared = {d.name for d in declared_package().exec_depends}
    pinned = {
        line.partition("==")[0]
        for path in (ROOT / "requirements").glob("*.txt")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    launch_files = (ROOT / "launch").glob("*.py")
    for name in set().union(*map(foreign_modules, [*SOURCES, *launch_files])):
        if name in FROM_PIP:
            assert FROM_PIP[name] in pinned
        else:
            assert ROSDEP_KEYS.get(name, name) in declared, f"{name}: not in package.xml"


def test_every_requirement_is_pinned():
    for path in (ROOT / "requirements").glob("*.txt"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert re.match(r"(#|-r |[A-Za-z0-9._-]+==[0-9][^ ]*(; python_version .*)?$)", line), (
                f"{path.name}: {line}"
            )


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").iterdir()), ids=lambda p: p.name)
def test_scripts_are_executables_of_the_environment(path):
    assert stat.S_IMODE(path.stat().st_mode) & 0o111 == 0o111
    assert path.read_bytes().startswith(b"#!/usr/bin/env python3\n")


# installed


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A prefix that `pip install` made from a copy of the sources, without network."""
    pytest.importorskip("pip")
    source = tmp_path_factory.mktemp("source")
    for name in SHIPPED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, source / name)
    prefix = tmp_path_factory.mktemp("prefix")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--no-build-isolation",
            "--ignore-installed",
            "--no-warn-script-location",
            "--prefix",
            prefix,
            source,
        ],
        check=True,
        cwd=prefix,
    )
    return prefix


def run_installed(prefix: Path, *command: str) -> str:
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    environment = {**os.environ, "PYTHONPATH": str(prefix / "lib" / version / "site-packages")}
    return subprocess.run(
        command, env=environment, cwd=prefix, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_pip_puts_everything_where_ros_looks(installed):
    share = installed / "share"
    assert (share / "ament_index/resource_index/packages/mafs_ros").is_file()
    assert (share / "mafs_ros/package.xml").is_file()
    for folder in ("launch", "config"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                copy = share / "mafs_ros" / path.relative_to(ROOT)
                assert copy.read_bytes() == path.read_bytes()
    assert (share / "mafs_ros/launch/mafs.launch.py").is_file()
    for template in (
        "mafs_ros/commands/calibrate/method/report/report.html.jinja",
        "mafs_ros/commands/replay/report/report.html.jinja",
        "mafs_ros/commands/fleet/report/fleet.html.jinja",
        "mafs_ros/commands/fleet/report/fleet.js",
        "mafs_ros/commands/page.css",
    ):
        assert [path.read_bytes() for path in installed.rglob(template)] == [
            (ROOT / template).read_bytes()
        ]
    for path in (ROOT / "scripts").glob("mafs*"):  # the others are for a checkout
        assert os.access(installed / "lib/mafs_ros" / path.name, os.X_OK)


def test_the_installed_package_finds_its_files(installed):
    program = (
        "from mafs_ros.base.resources import share_path, default_weights; "
        'print(share_path("config", "fastdds_shm.xml")); print(default_weights())'
    )
    found = run_installed(installed, sys.executable, "-c", program).splitlines()
    config = (installed / "share/mafs_ros/config").resolve()
    assert found == [
        str(config / "fastdds_shm.xml"),
        str(config / "weights/mafs_lite_street.safetensors"),
    ]


def test_the_installed_command_runs(installed):
    assert (
        run_installed(installed, str(installed / "bin/mafs"), "--version")
        == f"mafs_ros {mafs_ros.__version__}"
    )


# resources


def test_share_path_finds_the_checkout():
    assert resources.share_path("package.xml") == ROOT / "package.xml"


def test_share_path_finds_a_sourced_workspace(tmp_path, monkeypatch):
    shipped = tmp_path / "share" / "mafs_ros" / "config" / "only_there.yaml"
    shipped.parent.mkdir(parents=True)
    shipped.touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere{os.pathsep}{tmp_path}")
    assert resources.share_path("config", "only_there.yaml") == shipped


def test_share_path_names_all_places_looked_at(monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/opt/other")
    with pytest.raises(FileNotFoundError) as error:
        resources.share_path("config", "missing.yaml")
    for place in (
        ROOT / "config/missing.yaml",
        Path("/opt/other/share/mafs_ros/config/missing.yaml"),
        Path(sys.prefix) / "share/mafs_ros/config/missing.yaml",
    ):
        assert str(place) in str(error.value)


def test_the_shipped_weights_are_small():
    assert resources.default_weights().stat().st_size <= 25e6
