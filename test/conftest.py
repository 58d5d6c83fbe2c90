"""What all tests share: a bounded process, a ROS domain of their own, the shared data."""

from __future__ import annotations

import fcntl
import itertools
import os
import signal
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A run in the background of a shell ignores SIGINT, and so would every process it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Before anything imports torch, OpenCV or rclpy: they read these once. Child processes inherit; a
# worker of pytest-xdist is one, so what its parent has set gives way. With more threads than cores
# OpenMP's wait for each other, which takes ten times as long as the work.
THREADS = "1" if "PYTEST_XDIST_WORKER" in os.environ else "2"
os.environ["OMP_NUM_THREADS"] = os.environ["OPENCV_FOR_THREADS_NUM"] = THREADS
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
# Fast DDS 2 (the wheels of Jazzy) ignores the second name, 3 warns of the first.
try:
    FAST_DDS_3 = int(version("ros-rmw-fastrtps-cpp").partition(".")[0]) >= 9
except PackageNotFoundError:  # `make test-tensorrt` has an environment without ROS
    FAST_DDS_3 = False
PROFILE = "FASTDDS_DEFAULT_PROFILES_FILE" if FAST_DDS_3 else "FASTRTPS_DEFAULT_PROFILES_FILE"
os.environ[PROFILE] = str(ROOT / "config" / "fastdds_shm.xml")
os.environ.setdefault("ROS_LOG_DIR", str(Path(tempfile.gettempdir()) / "mafs_ros_test_log"))
for inherited in ("ROS_DOMAIN_ID", "ROS_LOCALHOST_ONLY", "ROS_NAMESPACE"):
    os.environ.pop(inherited, None)

# Domains 1 to 99: their UDP ports lie below Linux's ephemeral ports. Test n of a process starts
# to look at another place than test n + 1, so a node that is slow to die disturbs nobody.
DOMAINS = range(1, 100)
_first_domain = itertools.count(os.getpid(), 7)


# Files or folders that take longest: first, so that no worker is left with one at the end.
LONGEST = ("demo/test_demo.py", "node", "training", "engine", "commands", "cameras", "demo")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(ROOT / "test").as_posix()
        fitting = (n for n, start in enumerate(LONGEST) if path.startswith(start))
        return next(fitting, len(LONGEST))

    items.sort(key=place)


def _lock_domain(domain: int | str, wait: bool = False) -> IO[str] | None:
    """Holds a domain for this process, among all test runs of the machine; None if it is held."""
    folder = Path(tempfile.gettempdir()) / f"mafs_ros_domains.{os.getuid()}"
    folder.mkdir(exist_ok=True)
    lock = open(folder / str(domain), "w", encoding="ascii")  # noqa: SIM115 (the caller closes)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A ROS domain that no other test on this machine uses now, also set as ROS_DOMAIN_ID."""
    first = next(_first_domain)
    for i in range(len(DOMAINS)):
        domain = DOMAINS[(first + i) % len(DOMAINS)]
        lock = _lock_domain(domain)
        if lock is not None:
            break
    else:
        pytest.fail("all 99 ROS domains are held by other test runs")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    with lock:
        yield domain


@pytest.fixture
def demo_domain() -> Iterator[None]:
    """One test at a time that starts a demo or a live replay: they choose among few domains."""
    lock = _lock_domain("demo", wait=True)
    assert lock is not None
    with lock:
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real image pairs: $MAFS_SHARED/data, or ../shared/data beside the checkout."""
    shared = Path(os.environ.get("MAFS_SHARED", ROOT.parent / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(
            f"needs the real image pairs, and {shared / 'data'} does not exist (set MAFS_SHARED)"
        )
    return shared / "data"


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home of the test run: a graph in ~/.cache/mafs_ros is converted once for all tests.

    $MAFS_TEST_HOME, where several runs share one, as those of `make test` do.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers
    home = Path(os.environ.get("MAFS_TEST_HOME", folder / "home"))
    home.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.delenv("XDG_CACHE_HOME", raising=False)
        yield
