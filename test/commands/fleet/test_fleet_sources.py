"""Where the bags of a fleet are found; which of them lie on a server that speaks S3."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_bags import arguments

from mafs_ros.cli import main
from mafs_ros.commands.fleet.sources import BagFile, BagSource, find_bags
from mafs_ros.commands.fleet.storage import UnreachableError, local_bag


def names(*sources: object) -> list[str]:
    return [bag.name for bag in find_bags(map(str, sources))]


def test_folders_globs_lists_and_files(fleet: Path, tmp_path: Path) -> None:
    bags = fleet / "bags"
    everything = sorted(path.name for path in bags.iterdir())
    assert names(bags) == names(fleet) == names(bags, fleet) == everything
    assert names(bags / "drive_0[03]") == ["drive_00", "drive_03"]
    assert names(bags / "drive_00", bags / "unreadable.mcap") == ["drive_00", "unreadable.mcap"]
    listed = tmp_path / "some.txt"
    listed.write_text(
        f"# two of them\n{bags / 'drive_03'}\n\n{os.path.relpath(bags, tmp_path)}/*04\n"
    )
    assert names(listed) == ["drive_03", "drive_04"]
    (bag,) = find_bags([str(bags / "drive_00")])
    assert [file.name for file in bag.files] == ["drive_00.mcap", "metadata.yaml"]
    assert bag.size == sum(path.stat().st_size for path in (bags / "drive_00").iterdir())


def test_a_bag_without_metadata_is_its_file_and_no_output_is_a_bag(
    fleet: Path, tmp_path: Path
) -> None:
    shutil.copytree(fleet / "bags" / "drive_00", tmp_path / "drive")
    (tmp_path / "drive" / "metadata.yaml").unlink()
    report = tmp_path / "report"
    report.mkdir()
    (report / "report.json").touch()
    (report / "output.mcap").write_bytes(b"\x89MCAP0\r\n")
    assert names(tmp_path) == ["drive_00.mcap"]


@pytest.mark.parametrize("source", ["nothing", "empty", "*.mcap"])
def test_a_source_without_bags_is_said(tmp_path: Path, source: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no bag; expected a rosbag2"):
        find_bags([str(tmp_path / source)])


def test_a_storage_that_does_not_answer_may_later() -> None:
    pytest.importorskip("aiohttp")
    source = BagSource("http://127.0.0.1:9/drive.mcap", (BagFile("", 1, ""),))
    with (
        pytest.raises(UnreachableError, match="http://127.0.0.1:9/drive.mcap: "),
        local_bag(source),
    ):
        pass


@pytest.fixture(scope="module")
def s3(fleet: Path) -> Iterator[str]:
    """A bucket with two bags, one of them the unreadable one, on a server of this machine."""
    pytest.importorskip("s3fs", reason="needs s3fs: requirements/test.txt")
    server = pytest.importorskip("moto.server", reason="needs moto: requirements/test.txt")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "of the tests")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "of the tests")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        import fsspec

        store = fsspec.filesystem("s3", skip_instance_cache=True)
        store.mkdir("drives")
        for name in ("drive_03", "unreadable.mcap"):
            store.put(str(fleet / "bags" / name), f"drives/2023/{name}", recursive=True)
        yield "s3://drives/2023"
    running.stop()


def test_bags_of_an_s3_store_give_what_those_of_a_folder_give(
    s3: str, fleet: Path, serial: Path, tmp_path: Path
) -> None:
    command = arguments(fleet, tmp_path, "--jobs", 1)
    command[1] = s3
    assert main(command) == 1
    rows = json.loads((tmp_path / "fleet.json").read_text())["drives"]
    assert [row["bag"] for row in rows] == [f"{s3}/drive_03", f"{s3}/unreadable.mcap"]
    there = json.loads((serial / "fleet.json").read_text())["drives"]
    same = next(row for row in there if row["bag"].endswith("drive_03"))
    numbers = {name: value for name, value in same.items() if name not in ("bag", "report")}
    assert numbers == {name: rows[0][name] for name in numbers}
    assert rows[1]["reason"].startswith(f"{s3}/unreadable.mcap: cannot be read")
    page = (tmp_path / rows[1]["report"]).read_text()
    assert f"{s3}/unreadable.mcap" in page and "mafs_fleet" not in page
    before = [path.stat().st_mtime_ns for path in tmp_path.glob("bags/*/record.json")]
    assert main(command) == 1
    assert before == [path.stat().st_mtime_ns for path in tmp_path.glob("bags/*/record.json")]
