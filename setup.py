import sys
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "mafs_ros"
# It would write a console script over lib/mafs_ros/mafs, with the interpreter that runs colcon in
# place of that of the venv the script is started in.
BY_COLCON = not {"install", "develop"}.isdisjoint(sys.argv)


def files_below(folder):
    """data_files entries that keep the folder's tree under share/mafs_ros/."""
    folders = sorted({path.parent for path in Path(folder).rglob("*") if path.is_file()})
    return [
        (
            f"share/{PACKAGE}/{parent}",
            sorted(
                str(path) for path in parent.iterdir() if path.is_file() and path.suffix != ".pyc"
            ),
        )
        for parent in folders
        if parent.name != "__pycache__"
    ]


setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={
        f"{PACKAGE}.commands": ["*.css"],
        f"{PACKAGE}.commands.fleet.report": ["*.jinja", "*.js"],
        f"{PACKAGE}.commands.calibrate.method.report": ["*.jinja"],
        f"{PACKAGE}.commands.replay.report": ["*.jinja"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        # Not console_scripts: pip puts those into bin/, where `ros2 run` and launch do not look.
        (f"lib/{PACKAGE}", sorted(str(path) for path in Path("scripts").glob("mafs*"))),
        *files_below("launch"),
        *files_below("config"),
    ],
    # rosdep (package.xml) or requirements/*.txt install what it needs.
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"], "fleet": ["ray>=2.40", "fsspec"]},
    zip_safe=False,
    python_requires=">=3.10",
    maintainer="mafs_ros developers",
    maintainer_email="mafs-ros@example.com",
    description="Fuses a thermal and an RGB camera into one colour image and a class-id map.",
    license="Apache-2.0",
    entry_points={} if BY_COLCON else {"console_scripts": ["mafs = mafs_ros.cli:main"]},
)
