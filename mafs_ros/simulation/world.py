"""What stands and moves in one simulated street: drawn from a seed, then only read."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mafs_ros.simulation.weather import Weather, make_weather

STREET_M = 180.0  # the street repeats after this length
PEOPLE_M = 62.0  # people and cyclists live within this distance of the camera
BEHIND_M = 12.0


@dataclass(frozen=True)
class Building:
    side: int
    z: float
    x: float
    width: float
    height: float
    depth: float
    seed: int


@dataclass(frozen=True)
class Fixture:
    """A thing that stands still: lamp, tree, sign, signal, vending, bollard, hedge, bicycle.

    variant: its look; for a lamp the side of the street (-1, 1), for a hedge whether its end face
    shows. phase: direction in radians that a bicycle faces.
    """

    kind: str
    x: float
    z: float
    height: float
    variant: int
    phase: float = 0.0


@dataclass(frozen=True)
class Car:
    """Parked (speed 0, fixed in the street), oncoming, or driving ahead of the camera (lead)."""

    shape: str
    x: float
    z: float
    heading: int
    speed: float
    lead: bool
    paint: np.ndarray
    heat: float
    lights: bool
    scale: float
    phase: float


@dataclass(frozen=True)
class Person:
    """A pedestrian or, with `cycling`, a cyclist. Clothing colours are linear RGB."""

    x: float
    z: float
    direction: float
    speed: float
    crossing: bool
    cycling: bool
    height: float
    build: float
    outfit: str
    shirt: np.ndarray
    trousers: np.ndarray
    skin: np.ndarray
    hair: np.ndarray
    warmth: float
    bag: bool
    phase: float


@dataclass(frozen=True)
class World:
    weather: Weather
    focal: float
    horizon: float
    yaw: float
    camera_x: float
    camera_y: float
    speed: float
    sway: float
    road_half: float
    pavement_m: float
    lanes: str
    crossing_z: float | None
    buildings: list[Building] = field(default_factory=list)
    fixtures: list[Fixture] = field(default_factory=list)
    cars: list[Car] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)

    def driven(self, t: float) -> float:
        """Metres the camera has driven along the street at time t: never backwards."""
        pace = 0.35
        return self.speed * (t + 0.8 * np.sin(pace * t + self.sway) / pace)

    @property
    def shake(self) -> float:
        """How far in radians the road shakes the camera."""
        return 0.0012 * min(self.speed, 5.0) / 5.0 + 0.0001

    def nod(self, t: float) -> float:
        """How far the camera looks up at time t, in units of `shake`."""
        return float(np.sin(7.3 * t + self.sway) + 0.6 * np.sin(12.1 * t))

    def heading(self, t: float) -> float:
        """How far in radians the camera looks to the right at time t."""
        shake = self.shake
        return float(self.yaw + 0.25 * shake * np.sin(3.1 * t) + 4 * shake * np.sin(0.4 * t))


def make_world(seed: int, width: int, height: int, night: bool | None) -> World:
    """The street of a seed, for images of width x height pixels."""
    rng = np.random.default_rng([seed, 20])
    chosen = bool(rng.random() < 0.5)
    weather = make_weather(rng, chosen if night is None else night)
    # The camera rig: what fits a 50 degree lens on 640x480, kept for any shape of image.
    span = max(width, height * 4.0 / 3.0)
    road_half = float(rng.choice([2.8, 3.2, 3.6, 5.2]))
    scenario = str(rng.choice(["waiting", "driving", "driving", "standing"]))
    lanes = "one" if road_half < 3.0 else "two"
    left_hand = bool(rng.random() < 0.5)
    lane = (-1 if left_hand else 1) * (0.0 if lanes == "one" else min(0.5 * road_half, 1.8))
    world = World(
        weather=weather,
        focal=float(span * rng.uniform(0.8, 1.25)),
        horizon=float(height * rng.uniform(0.42, 0.56)),
        yaw=float(rng.normal(0.0, 0.05)),
        camera_x=float(lane + rng.uniform(-0.3, 0.3)),
        camera_y=float(rng.uniform(1.15, 1.75)),
        speed=float(rng.uniform(1.5, 9.0)) if scenario == "driving" else 0.0,
        sway=float(rng.uniform(0, 6.28)),
        road_half=road_half,
        pavement_m=float(rng.uniform(2.6, 5.0)),
        lanes=lanes,
        crossing_z=float(rng.uniform(7.0, 16.0)) if scenario == "waiting" else None,
    )
    world.buildings.extend(_buildings(rng, world))
    world.fixtures.extend(_fixtures(rng, world))
    world.cars.extend(_cars(rng, world, lane))
    world.people.extend(_people(rng, world))
    return world


def _buildings(rng: np.random.Generator, world: World) -> list[Building]:
    tall = rng.uniform(6.0, 26.0)
    gaps = rng.choice([0.1, 0.35, 0.7])
    found = []
    for side in (-1, 1):
        z = float(rng.uniform(-10.0, 4.0))
        end = z + STREET_M
        while z < end - 6.0:
            width = float(min(rng.uniform(7.0, 20.0), end - z))
            offset = world.road_half + world.pavement_m + rng.uniform(0.0, 2.5) * (gaps > 0.1)
            height = float(np.clip(rng.normal(tall, 0.4 * tall), 4.0, 45.0))
            depth = float(rng.uniform(8, 16))
            x = float(side * offset)
            found.append(Building(side, z, x, width, height, depth, int(rng.integers(2**31))))
            z += width + (float(rng.uniform(3.0, 16.0)) if rng.random() < gaps else 0.0)
    return found


def _fixtures(rng: np.random.Generator, world: World) -> list[Fixture]:
    found = []
    lamp_step, tree_step = rng.uniform(18, 34), rng.choice([7.0, 11.0, 17.0, 60.0])
    lamp_height, tree_height = rng.uniform(4.5, 8.5), rng.uniform(4.5, 9.5)
    for side in (-1, 1):
        kerb = side * (world.road_half + 0.55)
        wall = side * (world.road_half + world.pavement_m - 0.45)
        start = rng.uniform(0, lamp_step)
        for z in np.arange(start, STREET_M - 4.0, lamp_step):
            found.append(Fixture("lamp", kerb, float(z), lamp_height, side))
        for z in np.arange(rng.uniform(0, tree_step), STREET_M - 3.0, tree_step):
            height = tree_height * rng.uniform(0.75, 1.25)
            z = float(z + rng.uniform(-1.5, 1.5))
            found.append(Fixture("tree", kerb + side * 0.1, z, height, int(rng.integers(3))))
        hedged = bool(rng.random() < 0.35)
        if hedged:
            high = float(rng.uniform(0.7, 1.4))
            begins = 1  # of a row: its end face shows
            for z in np.arange(rng.uniform(0, 20), STREET_M - 9, 9.0):
                if rng.random() < 0.8:
                    found.append(Fixture("hedge", wall, float(z), high, begins))
                    begins = 0
                else:
                    begins = 1
        for kind, count in (("sign", 4), ("vending", 3), ("bollard", 9), ("signal", 2)):
            for _ in range(rng.integers(0, count + 1)):
                x = wall if kind == "vending" else kerb - side * 0.1
                z = float(rng.uniform(6, STREET_M - 6))
                found.append(Fixture(kind, x, z, rng.uniform(0.9, 1.1), int(rng.integers(4))))
        racks = wall - side * (1.1 if hedged else 0.7)
        for _ in range(rng.integers(1, 8)):
            z = float(rng.uniform(5, STREET_M))
            for i in range(rng.integers(1, 6)):
                where = z + 0.75 * i + rng.uniform(-0.1, 0.1)
                turn = float(rng.normal(side * 1.35, 0.2))
                found.append(Fixture("bicycle", racks, where, 1.0, int(rng.integers(6)), turn))
    return found


def _paint(rng: np.random.Generator) -> np.ndarray:
    common = [[0.85] * 3, [0.62] * 3, [0.35, 0.36, 0.38], [0.05] * 3, [0.03, 0.03, 0.035]]
    bright = [[0.45, 0.03, 0.03], [0.03, 0.07, 0.35], [0.55, 0.4, 0.05], [0.05, 0.2, 0.12]]
    bright += [[0.25, 0.45, 0.6], [0.3, 0.12, 0.05]]
    palette = common if rng.random() < 0.65 else bright
    return np.array(palette[rng.integers(len(palette))]) * rng.uniform(0.8, 1.2, 3) ** 0.5


def _cars(rng: np.random.Generator, world: World, lane: float) -> list[Car]:
    shapes = ["sedan", "hatch", "van", "suv", "sedan", "hatch", "truck"]
    found = []

    def car(x: float, z: float, heading: int, speed: float, lead: bool = False) -> Car:
        parked = speed == 0.0 and not lead
        return Car(
            shape=shapes[rng.integers(len(shapes))],
            x=x + float(rng.uniform(-0.12, 0.12)),
            z=z,
            heading=heading,
            speed=speed,
            lead=lead,
            paint=_paint(rng),
            heat=float(rng.random() < 0.25) * rng.uniform(0.3, 1.0) if parked else 1.0,
            lights=not parked,
            scale=float(rng.uniform(0.94, 1.06)),
            phase=float(rng.uniform(0, 6.28)),
        )

    for side in (-1, 1):
        same_lane = abs(side * world.road_half - lane) < 1.8
        if rng.random() < (0.25 if same_lane else 0.65):
            # Parked half on the pavement where the road is narrow.
            x = side * (world.road_half + (0.4 if world.road_half < 4 else -1.0))
            busy = rng.uniform(0.1, 0.8)
            for z in np.arange(rng.uniform(2, 9), STREET_M - 4, 5.9):
                if rng.random() < busy and _free_to_park(world, x, float(z)):
                    heading = 1 if side * lane > 0 or rng.random() < 0.2 else -1
                    found.append(car(x, float(z) + rng.uniform(-0.3, 0.3), heading, 0.0))
    if world.lanes == "two" and world.crossing_z is None and rng.random() < 0.75:
        speed = float(rng.uniform(4.0, 11.0))
        count = int(rng.integers(1, 6))
        for i in range(count):
            z = (i + rng.uniform(0.1, 0.9)) * STREET_M / count
            found.append(car(-lane, float(z), -1, speed))
    if world.crossing_z is not None and rng.random() < 0.6:
        # The car that waits on the other side of the crossing, engine on.
        x = -lane if world.lanes == "two" else 0.0
        waiting = car(x, world.crossing_z + rng.uniform(6.5, 9.0), -1, 0.0)
        found.append(Car(**{**waiting.__dict__, "lights": True, "heat": 1.0}))
    if world.crossing_z is None and rng.random() < 0.6:
        found.append(car(lane, float(rng.uniform(12, 40)), 1, 0.0, lead=True))
    return found


def _free_to_park(world: World, x: float, z: float) -> bool:
    """Whether a car at (x, z) is off the crossing and hits no lamp, tree or post."""
    if world.crossing_z is not None and abs(z - world.crossing_z) < 6.5:
        return False
    return all(abs(i.z - z) > 2.9 or abs(i.x - x) > 1.3 for i in world.fixtures)


def _person(
    rng: np.random.Generator, x: float, z: float, direction: float, speed: float, **kind: bool
) -> Person:
    clothes = [[0.02] * 3, [0.06] * 3, [0.6] * 3, [0.03, 0.05, 0.14], [0.35, 0.05, 0.05]]
    clothes += [[0.3, 0.28, 0.2], [0.12, 0.2, 0.12], [0.55, 0.35, 0.1], [0.15, 0.25, 0.5]]
    skins = [[0.62, 0.4, 0.3], [0.5, 0.3, 0.2], [0.3, 0.17, 0.1], [0.14, 0.08, 0.05]]
    outfits = ["jacket", "jacket", "coat", "skirt", "shorts", "jacket"]
    return Person(
        x=x,
        z=z,
        direction=direction,
        speed=speed,
        crossing=kind.get("crossing", False),
        cycling=kind.get("cycling", False),
        height=float(np.clip(rng.normal(1.69, 0.1), 1.2, 1.95)),
        build=float(rng.uniform(0.9, 1.3)),
        outfit=outfits[rng.integers(len(outfits))],
        shirt=np.array(clothes[rng.integers(len(clothes))]) * rng.uniform(0.7, 1.3),
        trousers=np.array(clothes[rng.integers(5)]) * rng.uniform(0.7, 1.2),
        skin=np.array(skins[rng.integers(len(skins))]),
        hair=np.array([0.02, 0.015, 0.01]) * rng.uniform(0.5, 8.0),
        warmth=float(rng.uniform(0.35, 0.75)),
        bag=bool(rng.random() < 0.4),
        phase=float(rng.uniform(0, 6.28)),
    )


def _people(rng: np.random.Generator, world: World) -> list[Person]:
    found = []
    width = world.pavement_m - 2.4
    for _ in range(rng.integers(3, 18)):
        side = rng.choice([-1, 1])
        x = float(side * (world.road_half + 1.45 + rng.uniform(0, 1) * width))
        z = float(rng.uniform(0, PEOPLE_M + BEHIND_M))
        if rng.random() < 0.2:
            found.append(_person(rng, x, z, float(rng.uniform(-3, 3)), 0.0))
            continue
        direction = float(rng.choice([0.0, np.pi]) + rng.normal(0, 0.06))
        speed = float(rng.uniform(0.9, 1.7))
        found.append(_person(rng, x, z, direction, speed))
        if rng.random() < 0.3:
            beside = x + 0.6 * (1 if side > 0 else -1)
            found.append(_person(rng, beside, z + 0.2, direction, speed))
    if world.crossing_z is not None:
        for _ in range(rng.integers(2, 9)):
            z = float(world.crossing_z + rng.uniform(-1.4, 1.4))
            direction = float(rng.choice([-1, 1]) * np.pi / 2)
            speed = float(rng.uniform(0.9, 1.6))
            found.append(_person(rng, 0.0, z, direction, speed, crossing=True))
    for _ in range(rng.integers(0, 5)):
        side = int(rng.choice([-1, 1]))
        x = float(side * (world.road_half + rng.choice([-0.6, 1.2])))
        z = float(rng.uniform(0, PEOPLE_M + BEHIND_M))
        direction = float(rng.choice([0.0, np.pi]))
        found.append(_person(rng, x, z, direction, float(rng.uniform(2.5, 5.0)), cycling=True))
    return found
