"""The schedule of shots, without processes."""

from contextlib import ExitStack

import cv2
import numpy as np
import pytest
from recordings import write_bag

from mafs_ros.bags import reader, topics
from mafs_ros.cameras import __main__, parameters, shots, simulated
from mafs_ros.images.messages.cdr import read_image


def generated(frames=50, **values):
    """The generated shots, with tiny images that hold their frame number."""
    defaults = {row.name: row.default for row in parameters.PARAMETERS}

    def images(number):
        return {
            "rgb": np.full((2, 2, 3), int(number) % 256, np.uint8),
            "thermal": np.full((2, 2), round(100 * number), np.uint16),
        }

    return list(shots.generated_shots({**defaults, **values}, frames, images))


def recorded_shots(**values):
    """The shots of folders or a bag."""
    defaults = {row.name: row.default for row in parameters.PARAMETERS}
    with ExitStack() as stack:
        return list(__main__.open_source({**defaults, **values}, stack)[1])


def times(found, camera):
    return np.array([shot.stamp for shot in found if shot.camera == camera])


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_bag_keeps_its_messages_and_its_timing(tmp_path, pairs, storage):
    path = write_bag(tmp_path / "bag", pairs, storage)
    with reader.Bag(path) as bag:
        messages = list(bag.messages(topics.choose_topics(bag)))
    found = recorded_shots(bag=path, speed=0.5)
    assert [(s.message, s.stamp) for s in found] == [(m.raw, m.stamp) for m in messages]
    assert [s.due for s in found] == [2 * (m.received - messages[0].received) for m in messages]
    assert all(shot.recorded for shot in found)


def test_looping_bag_jumps_back(tmp_path, pairs):
    path = write_bag(tmp_path / "bag", pairs[:3])
    found = recorded_shots(bag=path, loop=True, frames=7)
    once = times(found, "rgb")[:3].tolist()
    assert times(found, "rgb").tolist() == [*once, *once, once[0]]
    assert len(times(found, "thermal")) == 7  # the partner of the last frame too
    due = [shot.due for shot in found if shot.camera == "rgb"]
    assert (np.diff(due) >= 100_000_000).all()  # the pauses are no shorter than the period
    assert np.diff(due).max() < 250_000_000


def test_frames_ends_a_bag_after_the_partner_of_the_last(tmp_path, pairs):
    found = recorded_shots(bag=write_bag(tmp_path / "bag", pairs), frames=4)
    assert [shot.camera for shot in found] == ["rgb", "thermal"] * 4


def test_folder_stamps_from_a_file(tmp_path, folders, pairs):
    stamps = [
        (1_700_000_000 + index, 1_700_000_000 + index + (-1) ** index * 0.25) for index in range(6)
    ]
    rows = [f"{index},{rgb},{thermal}" for index, (rgb, thermal) in enumerate(stamps)]
    (tmp_path / "s.csv").write_text("\n".join(["name,rgb,thermal", *rows]))
    found = recorded_shots(**folders, stamps_file=tmp_path / "s.csv", speed=2.0)
    assert times(found, "rgb").tolist() == [rgb * 10**9 for rgb, _ in stamps]
    assert times(found, "thermal").tolist() == [round(4 * t) * 250_000_000 for _, t in stamps]
    assert [shot.due for shot in found] == [(shot.stamp - found[0].stamp) // 2 for shot in found]
    for camera, index in (("rgb", 0), ("thermal", 1)):
        sent = [read_image(shot.message).data.tobytes() for shot in found if shot.camera == camera]
        assert sent == [pair[index].tobytes() for pair in pairs]


def test_same_seed_same_shots():
    faults = {"jitter_s": 0.02, "dropout": 0.2}
    first, second = generated(seed=1, **faults), generated(seed=1, **faults)
    assert first == second
    assert times(first, "rgb").tolist() != times(generated(seed=2, **faults), "rgb").tolist()


def test_jitter_is_bounded_and_each_cameras_own():
    found = generated(frames=500, jitter_s=0.02)
    for camera in ("rgb", "thermal"):
        deviation = times(found, camera) - 10**8 * np.arange(500)
        assert deviation.min() >= 0
        assert deviation.max() <= 40_000_000
        assert np.ptp(deviation) > 36_000_000
        assert (np.diff(times(found, camera)) > 0).all()
    apart = np.abs(times(found, "rgb") - times(found, "thermal"))
    assert apart.max() > 30_000_000
    assert [shot.due for shot in found] == sorted(shot.due for shot in found)


def test_dropouts_do_not_move_the_jitter():
    whole, holed = generated(jitter_s=0.02), generated(jitter_s=0.02, dropout=0.5)
    assert [(s.camera, s.stamp) for s in whole] == [(s.camera, s.stamp) for s in holed]
    assert 20 < sum(shot.message is None for shot in holed) < 80


def test_thermal_stamp_offset_moves_stamps_alone():
    found = generated(thermal_stamp_offset_s=-0.03)
    assert (times(found, "thermal") - times(found, "rgb") == -30_000_000).all()
    assert all(shot.due == index // 2 * 10**8 for index, shot in enumerate(found))


def test_thermal_rate_of_its_own_shows_the_scene_at_its_own_times():
    found = generated(frames=10, rate_hz=10.0, thermal_rate_hz=25.0)
    assert len(times(found, "rgb")) == 10
    assert (np.diff(times(found, "thermal")) == 40_000_000).all()
    assert len(times(found, "thermal")) == 25  # all that lie before the end of frame 9
    values = [
        int(np.frombuffer(read_image(shot.message).data, np.uint16)[0])
        for shot in found
        if shot.camera == "thermal"
    ]
    assert values == [40 * index for index in range(25)]  # 0.4 frames further each time


def test_misalignment_moves_a_hot_spot_and_registration_brings_it_back():
    thermal = np.full((120, 160), 29000, np.uint16)
    cv2.circle(thermal, (100, 40), 6, 35000, -1)
    values = {"thermal_shift_x_px": 12.0, "thermal_shift_y_px": -5.0, "thermal_rotation_deg": 0.0}
    seen = simulated.misalign(thermal, values)
    assert np.array_equal(seen[5:110, 20:150], thermal[10:115, 8:138])
    values["thermal_rotation_deg"] = 90.0
    seen = simulated.misalign(
        thermal, {**values, "thermal_shift_x_px": 0.0, "thermal_shift_y_px": 0.0}
    )
    rows, columns = np.nonzero(seen > 34000)
    # Clockwise by 90 degrees about (79.5, 59.5): (20.5, -19.5) becomes (19.5, 20.5).
    assert (round(columns.mean()), round(rows.mean())) == (99, 80)
    back = cv2.warpPerspective(
        simulated.misalign(thermal, values), simulated.misalignment(values, 120, 160), (160, 120)
    )
    rows, columns = np.nonzero(back > 34000)
    assert (round(columns.mean()), round(rows.mean())) == (100, 40)
