"""README, docs, Makefile, container and workflow: what they say is so."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def test_the_docs_have_the_parameter_table_of_the_code():
    from mafs_ros.parameters.__main__ import parameters_markdown

    page = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    table = re.search(
        r"<!-- python3 -m mafs_ros.parameters markdown -->\n(.*?)<!-- end -->", page, re.S
    )
    assert table and table[1].strip() == parameters_markdown().strip()


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
)
def test_files_that_the_docs_name_exist(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_modules_that_the_docs_name_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:mafs_ros|training|test|config|launch|docs)/[\w./-]+)`", text)
    assert named or page == "README.md"
    assert [name for name in named if not (ROOT / name).exists()] == []


def commands_in(text: str) -> list[str]:
    """The commands of a piece of shell, one by one, words apart by one space."""
    return [" ".join(one.split()) for one in text.replace("\\\n", " ").split("&&")]


def test_the_container_is_built_by_the_commands_of_the_readme():
    """No container is built here: what it would run is what the README says."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    robot = readme.partition("## On a robot")[2].partition("\n## ")[0]
    block = re.search(r"\n\n((?:    .+\n)+)", robot)[1]
    wanted = [one for line in block.replace("\\\n", " ").splitlines() for one in commands_in(line)]
    wanted = [one for one in wanted if not one.startswith(("cd ", "git clone", "ros2 launch"))]
    assert len(wanted) == 6
    built = (ROOT / "Containerfile").read_text(encoding="utf-8")
    assert re.search(r'^ARG NUMPY="numpy<2"$', built, re.M)
    runs = re.findall(r"^RUN ((?:.+\\\n)*.+)$", built, re.M)
    run = [one.replace('"$NUMPY"', "'numpy<2'") for text in runs for one in commands_in(text)]
    places = [run.index(one) for one in wanted]
    assert places == sorted(places)
    for source in re.findall(r"^COPY (\S+) ", built, re.M):
        assert (ROOT / source).exists()
    instructions = re.findall(r"^([A-Z]+) ", re.sub(r"\\\n", "", built), re.M)
    assert {"FROM", "RUN", "COPY", "ENTRYPOINT", "CMD", "STOPSIGNAL"} <= set(instructions)


def test_the_workflow_runs_make_test_on_every_python():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text(encoding="utf-8"))
    job = workflow["jobs"]["test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    oldest, newest = map(int, re.findall(r"\(3, (\d+)\)", makefile)[:2])
    assert job["strategy"]["matrix"]["python"] == [f"3.{n}" for n in range(oldest, newest + 1)]
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs == [
        "make test PYTHON=python${{ matrix.python }}",
        "make test-newest PYTHON=python${{ matrix.python }}",
    ]


def test_make_demo_passes_folders_with_spaces():
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    output = subprocess.run(
        [make, "-n", "demo", "RGB=my rgb", "THERMAL=my thermal"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert '--rgb "my rgb"' in output and '--thermal "my thermal"' in output
    assert "--bag" not in output
