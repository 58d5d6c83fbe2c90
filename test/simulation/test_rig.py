"""The simulated rig: where its cameras see things, how far away, and how they register."""

from functools import cache, partial

import cv2
import numpy as np
import pytest

from mafs_ros.simulation import RigStreet, SimulatedRig, StreetSimulation, body, people, scenery
from mafs_ros.simulation.canvas import pack_one
from mafs_ros.simulation.lighting import Lighting
from mafs_ros.simulation.rig import turn, unaligned_rig
from mafs_ros.simulation.rig_camera import RigCamera, intrinsics
from mafs_ros.simulation.rig_view import Pose, RigView
from mafs_ros.simulation.world import make_world

RIG = unaligned_rig()
POSE = Pose(x=0.4, y=1.5, yaw=0.05, pitch=-0.03)
DISTANCES = (5.0, 8.0, 15.0, 30.0, 60.0)
T = 2.0


@cache
def views():
    """The RGB and the thermal camera of RIG."""
    rig = RIG
    weather = make_world(3, 640, 480, night=False).weather
    return (
        RigView(rig.rgb, np.eye(3), np.zeros(3), POSE.pitch, weather),
        RigView(rig.thermal, rig.rotation, rig.translation, POSE.pitch, weather),
    )


def targets(z):
    """World centres [12, 3] of squares on a wall z metres away, all seen by both cameras."""
    x, y = np.meshgrid(np.linspace(-0.32, 0.32, 4) * z, 1.5 + np.linspace(-0.25, 0.22, 3) * z)
    return np.stack([x.ravel() + 0.4 + 0.05 * z, y.ravel(), np.full(12, z)], axis=1)


def paint_targets(z, canvas, camera):
    """A black and cold wall with white and hot squares on it."""
    canvas.pixels[:] = 0
    wall = canvas.upright(np.array([-5.0 * z, 0.0, z]), np.array([10.0 * z, 0.0, 0.0]))
    if canvas.surfaces is not None:
        canvas.surfaces.numbers[:] = wall
    half = 0.014 * z * np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    for centre in targets(z):
        outline = camera.project_polygon(centre + half)
        canvas.fill(outline, pack_one([1.0, 1.0, 1.0], 320.0), wall)


def centroids(picture, near):
    """Centres of what is bright within 15 pixels of [N, 2] pixels."""
    found = []
    for u, v in np.rint(near).astype(int):
        weight = picture[v - 14 : v + 15, u - 14 : u + 15]
        across, down = weight.sum(axis=0), weight.sum(axis=1)
        shift = np.array([across @ np.arange(29), down @ np.arange(29)]) / weight.sum() - 14
        found.append(shift + (u, v))
    return np.array(found)


def by_opencv(camera, points):
    """Pixels [N, 2] of points in optical axes."""
    distortion = np.array(camera.distortion)
    pixels, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), camera.k, distortion)
    return pixels[:, 0]


def test_cameras_agree_with_opencv_and_rays_lead_back():
    camera = RIG.thermal
    rng = np.random.default_rng(0)
    points = rng.uniform((-2, -1.5, 5), (2, 1.5, 9), (50, 3))
    assert np.abs(camera.project(points) - by_opencv(camera, points)).max() < 1e-6
    v, u = np.mgrid[: camera.height, : camera.width]
    assert np.abs(camera.project(camera.rays) - np.stack([u, v], -1)).max() < 1e-3


def test_lenses_that_fold_over_are_refused():
    camera = RigCamera(640, 480, intrinsics(300.0, 320.0, 240.0), (-0.5, 0.0, 0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="folds over within 640x480 pixels at a focal length"):
        _ = camera.rays


@pytest.mark.parametrize("z", DISTANCES)
def test_points_are_seen_where_they_project_and_register_by_depth(z):
    rig = RIG
    rgb_view, thermal_view = views()
    rgb = rgb_view.see(POSE, partial(paint_targets, z), with_depth=True)
    heat = thermal_view.see(POSE, partial(paint_targets, z)).heat().astype(float)
    in_rgb = POSE.from_world(targets(z))
    expected = by_opencv(rig.rgb, in_rgb)
    seen = centroids(rgb.light()[..., 0].astype(float), expected)
    assert np.abs(seen - expected).max() < 0.5
    thermal_expected = by_opencv(rig.thermal, (in_rgb - rig.translation) @ rig.rotation)
    assert np.abs(centroids(heat, thermal_expected) - thermal_expected).max() < 0.5

    depth = rgb.depth()
    u, v = np.rint(expected).astype(int).T
    assert depth[v, u] == pytest.approx(in_rgb[:, 2], rel=0.01)
    at = rig.thermal_pixels(depth).astype(np.float32)
    warped = cv2.remap(heat, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
    error = np.linalg.norm(centroids(warped, seen) - seen, axis=1)
    print(f"{z:g} m: by depth {error.max():.3f} px at most")
    assert error.max() < 1.0
    # At twice the depth they would be far off: 3.8 thermal pixels at 5 m.
    assert np.linalg.norm(rig.thermal_pixels(2 * depth)[240, 320] - at[240, 320]) * z > 15.0


def test_homography_holds_on_its_plane():
    rig = RIG
    rng = np.random.default_rng(1)
    points = rng.uniform((-4, -3, 12), (4, 3, 12), (40, 3))  # in front of the thermal camera
    in_rgb = points @ rig.rotation.T + rig.translation
    thermal, rgb = (
        (p / p[:, 2:]) @ camera.k.T for p, camera in ((points, rig.thermal), (in_rgb, rig.rgb))
    )
    mapped = thermal @ rig.plane_homography(12.0).T
    assert np.abs(mapped[:, :2] / mapped[:, 2:] - rgb[:, :2]).max() < 0.1
    off = thermal @ rig.plane_homography(6.0).T
    assert np.abs(off[:, :2] / off[:, 2:] - rgb[:, :2]).max() > 2.0


def test_turns_have_their_signs():
    forward, right = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
    assert (turn(roll=0, pitch=10, yaw=0) @ forward)[1] < 0  # y is down
    assert (turn(roll=0, pitch=0, yaw=10) @ forward)[0] > 0
    assert (turn(roll=10, pitch=0, yaw=0) @ right)[1] > 0


@pytest.fixture(scope="module")
def street():
    return RigStreet(unaligned_rig(240, 320), seed=3, night=False)


@pytest.fixture(scope="module")
def frame(street):
    return street.frame(T)


def test_frames_have_their_cameras_sizes_and_repeat(street, frame):
    assert frame.rgb.shape == (240, 320, 3) and frame.rgb.dtype == np.uint8
    assert frame.thermal.shape == (128, 160) and frame.thermal.dtype == np.uint16
    assert frame.labels.shape == (240, 320) and frame.labels.dtype == np.uint8
    assert frame.depth.shape == (240, 320) and frame.depth.dtype == np.float32
    street.frame(0.0)
    again = street.frame(T)
    for name in ("rgb", "thermal", "labels", "depth"):
        assert np.array_equal(getattr(frame, name), getattr(again, name)), name


def test_keeping_surfaces_changes_no_pixel(street):
    paint, pose = partial(street.paint, T), street.pose(T)
    with_depth, without = (
        street.rgb_view.see(pose, paint, with_depth=wanted) for wanted in (True, False)
    )
    assert np.array_equal(with_depth.light(), without.light())
    assert np.array_equal(with_depth.labels(), without.labels())


def test_nothing_lies_below_the_ground_and_much_lies_on_it(street, frame):
    pose = street.pose(T)
    rays = street.rig.rgb.rays @ pose.to_level().T
    below = rays[..., 1] > 0.02
    ground = pose.y / rays[below][:, 1]
    depth = frame.depth[below]
    # A wall is painted half a pixel down into the ground that it stands on.
    above = pose.y / (rays[below][:, 1] - 0.75 / street.rig.rgb.k[0, 0])
    assert (depth < 1.01 * above).all()
    assert np.mean(np.abs(depth / ground - 1) < 0.01) > 0.4


def test_facades_are_as_far_as_they_stand(street, frame):
    driven, pose = street.world.driven(T), street.pose(T)
    visible = inside = 0
    for building in street.world.buildings:
        z = float(scenery.in_street(np.array(building.z), driven, 45.0))
        along, up = np.meshgrid(np.linspace(0.1, 0.9, 20), np.linspace(0.2, 0.9, 8))
        x = np.full(160, building.x)
        points = np.stack([x, up.ravel() * building.height, z + along.ravel() * building.width], 1)
        points = pose.from_world(points)
        points = points[(points[:, 2] > 3.0) & (points[:, 2] < 60.0)]
        pixels = np.rint(street.rig.rgb.project(points)).astype(int)
        seen = ((pixels >= 0) & (pixels < (320, 240))).all(axis=1)
        seen &= np.abs(points[:, 0] / points[:, 2]) < 0.8  # beyond, the lens folds over
        # What the middle of the pixel sees of the wall: the ray r meets it where n @ r = n @ p.
        rays = street.rig.rgb.rays[pixels[seen, 1], pixels[seen, 0]]
        normal = np.subtract(*pose.from_world(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])))
        true = (points[seen] @ normal) / (rays @ normal)
        depth = frame.depth[pixels[seen, 1], pixels[seen, 0]]
        assert (depth < 1.01 * true).all()
        visible += int((np.abs(depth / true - 1) < 0.01).sum())
        inside += int(seen.sum())
    assert inside > 300 and visible > 0.3 * inside


@pytest.mark.parametrize("z", [5.0, 12.0, 40.0])
def test_people_are_as_far_as_they_stand(z):
    world = make_world(3, 640, 480, night=False)
    person = next(one for one in world.people if not one.cycling)
    weather = world.weather
    figure = body.walker(person, weather, 0.0, 0.0)
    light = Lighting(weather.ambient, weather.sun, weather.to_sun, 0.0)

    def paint(canvas, camera):
        canvas.pixels[:] = 0
        placed = [people.Placed(figure, 0.4 + 0.05 * z, z, np.pi / 2)]
        canvas.fill_all(*people.prepare(canvas, camera, light, placed)[0])

    seen = views()[0].see(POSE, paint, with_depth=True)
    depth = seen.depth()
    shown = seen.labels() == 2
    assert shown.sum() > 50 and np.array_equal(shown, np.isfinite(depth))
    middle = POSE.from_world(np.array([[0.4 + 0.05 * z, 1.0, z]]))[0, 2]
    assert np.median(depth[shown]) == pytest.approx(middle, rel=0.01)
    assert np.abs(depth[shown] - middle).max() < 0.6


def test_rig_of_one_camera_sees_what_the_aligned_simulation_sees():
    plain = StreetSimulation(3, 180, 240, night=False)
    world = plain.world
    camera = RigCamera(240, 180, intrinsics(world.focal, 120.0, world.horizon))
    rig = SimulatedRig(camera, camera, np.eye(3), np.zeros(3))
    ours, expected = RigStreet(rig, 3, night=False).frame(T), plain.frame(T)
    assert np.mean(ours.labels == expected.labels) > 0.97
    assert set(np.unique(ours.labels)) >= {0, 2}
    difference = np.abs(ours.thermal.astype(float) - expected.thermal)[int(world.horizon) + 1 :]
    assert np.median(difference) < 60  # 0.6 K: noise, and another pattern of the sensor
