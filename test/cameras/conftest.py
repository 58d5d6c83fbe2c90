"""Pairs of noise, and folders of them."""

import numpy as np
import pytest

from mafs_ros.images.files import write

# Fast DDS acknowledges small reliable messages only every 3 s, for which the cameras wait at the
# end; images of this size it acknowledges at once.
HEIGHT, WIDTH = 480, 640


@pytest.fixture
def pairs():
    rng = np.random.default_rng(5)
    return [
        (
            rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
            rng.integers(0, 65536, (HEIGHT + 32, WIDTH), dtype=np.uint16),
        )
        for _ in range(6)
    ]


@pytest.fixture
def folders(tmp_path, pairs):
    for name in ("rgb", "thermal"):
        (tmp_path / name).mkdir()
    for index, (rgb, thermal) in enumerate(pairs):
        write.write_png(tmp_path / "rgb" / f"{index}.png", rgb)
        write.write_png(tmp_path / "thermal" / f"{index}.png", thermal)
    return {"rgb_dir": tmp_path / "rgb", "thermal_dir": tmp_path / "thermal"}
