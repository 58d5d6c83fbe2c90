"""The simulated street: exact labels, colour and temperature of any moment, from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from . import fixtures, people, scenery, vehicles
from .camera import Camera
from .canvas import LABEL_SHIFT, Canvas
from .lighting import Lighting
from .sensors import RgbSensor, ThermalSensor
from .world import BEHIND_M, PEOPLE_M, Car, Fixture, Person, make_world

FIXTURES_SEEN_M = 110.0
LAMPS_LIT = 9


@dataclass(frozen=True)
class SimulatedFrame:
    """rgb uint8 [H, W, 3]; thermal uint16 [H, W] in centikelvin; labels uint8 [H, W], 0 to 3."""

    rgb: np.ndarray
    thermal: np.ndarray
    labels: np.ndarray


class StreetSimulation:
    """A night or day street seen from a car, the same for the same seed and time.

    Ids of `labels`: 0 background, 1 car, 2 person, 3 bike (table `street`). Frames may be asked
    for in any order. `night` None lets the seed choose. Raises ValueError for sizes below 16.
    """

    def __init__(
        self, seed: int = 0, height: int = 480, width: int = 640, night: bool | None = None
    ):
        if height < 16 or width < 16:
            raise ValueError(f"image size {width}x{height} is too small: at least 16x16")
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}")
        self.height, self.width = height, width
        self.world = world = make_world(seed, width, height, night)
        self.night = world.weather.night
        rng = np.random.default_rng([seed, 21])
        weather = world.weather
        self._haze = np.append(weather.sky_horizon, weather.air)
        self._sky = scenery.Sky(rng, world, height, width)
        self._ground = scenery.Ground(rng, world)
        self._lamps = [item for item in world.fixtures if item.kind == "lamp"]
        self._trees = [fixtures.TreePicture(rng, weather) for _ in range(3)]
        fixed = self._lighting(0.0, nearby=False)
        self._facades = [scenery.Facade(b, world, fixed) for b in world.buildings]
        self._rgb = RgbSensor(rng, height, width, self.night, weather.wet)
        self._thermal = ThermalSensor(rng, height, width)

    def frame(self, t_seconds: float) -> SimulatedFrame:
        """The two images and the labels at a time in seconds (any order, any number of times)."""
        t = float(t_seconds)
        driven = self.world.driven(t)
        camera = self._camera(t)
        light = self._lighting(driven, t=t)
        canvas = Canvas(self.height, self.width, self._haze, self.world.weather.visibility_m)
        things, shadows = self._things(t, driven, camera, light)
        self._background(canvas, camera, light, driven, shadows)
        for _, draw in sorted(things, key=lambda thing: -thing[0]):
            draw(canvas)
        number = round(t * 1000)
        heat = cv2.extractChannel(canvas.pixels, 3)
        return SimulatedFrame(
            rgb=self._rgb(canvas.pixels, camera.horizon_v, number),
            thermal=self._thermal(heat, number),
            labels=(heat >> LABEL_SHIFT).astype(np.uint8),
        )

    def _camera(self, t: float) -> Camera:
        world = self.world
        shake = 0.0012 * min(world.speed, 5.0) / 5.0 + 0.0001
        nod = np.sin(7.3 * t + world.sway) + 0.6 * np.sin(12.1 * t)
        return Camera(
            width=self.width,
            height=self.height,
            focal=world.focal,
            centre_u=0.5 * self.width,
            horizon_v=float(world.horizon + world.focal * shake * nod),
            x=world.camera_x,
            y=world.camera_y,
            yaw=float(world.yaw + 0.25 * shake * np.sin(3.1 * t) + 4 * shake * np.sin(0.4 * t)),
        )

    def _lighting(self, driven: float, t: float = 0.0, nearby: bool = True) -> Lighting:
        """Light around the camera, or (nearby False) the lamps' light along the whole street."""
        weather = self.world.weather
        places, colours = [], []
        if weather.night:
            for lamp in self._lamps:
                head = fixtures.lamp_head(lamp)
                z = scenery.in_street(lamp.z, driven, 15.0) if nearby else lamp.z
                places.append([head[0], head[1], z])
                colours.append(weather.lamp_colour * 0.16 * lamp.height**2)
            if nearby:
                for car in self.world.cars:
                    z = self._car_z(car, t, driven)
                    if car.lights and car.heading < 0 and 3.0 < z < 60.0:
                        places.append([car.x, 1.6, z - 5.0])
                        colours.append(np.array([1.0, 0.97, 0.9]) * 0.9)
        if nearby and len(places) > LAMPS_LIT:
            nearest = np.argsort([abs(p[2] - 10.0) for p in places], kind="stable")[:LAMPS_LIT]
            places = [places[i] for i in nearest]
            colours = [colours[i] for i in nearest]
        return Lighting(
            ambient=weather.ambient,
            sun=weather.sun,
            to_sun=weather.to_sun,
            beam=weather.beam if nearby else 0.0,
            lamps=np.array(places).reshape(-1, 3),
            lamp_colours=np.array(colours).reshape(-1, 3),
        )

    def _background(
        self, canvas: Canvas, camera: Camera, light: Lighting, driven: float, shadows: list
    ) -> None:
        top = int(np.clip(np.ceil(camera.horizon_v + 0.5), 0, self.height - 1))
        self._sky.draw(canvas, camera, self.world.yaw)
        self._ground.draw(canvas, camera, driven, top)
        scenery.draw_markings(canvas, camera, self.world, driven)
        ground = canvas.pixels[top:]
        cv2.multiply(ground, light.on_ground(camera, top, shadows), ground, scale=1.0 / 12000)
        places = [(scenery.in_street(f.building.z, driven, 45.0), f) for f in self._facades]
        for z, facade in sorted(places, key=lambda place: -place[0]):
            if z < FIXTURES_SEEN_M and z + facade.building.width > 0.5:
                facade.draw(canvas, camera, z)

    def _things(
        self, t: float, driven: float, camera: Camera, light: Lighting
    ) -> tuple[list[tuple[float, Callable[[Canvas], None]]], list[np.ndarray]]:
        """What to draw from far to near, (distance, draw), and the shadows on the ground."""
        things: list[tuple[float, Callable[[Canvas], None]]] = []
        shadows: list[np.ndarray] = []
        sunny = bool(light.sun.any())
        if sunny:
            for facade in self._facades:
                shadows.extend(self._building_shadow(facade, light, driven))
        for item in self.world.fixtures:
            self._fixture(things, shadows if sunny else None, item, driven, camera, light)
        for car in self.world.cars:
            z = self._car_z(car, t, driven)
            if camera.sees(car.x, z, 3.8):
                things.append((z, self._car_drawer(car, z, t, camera, light)))
                if sunny and z < 50:
                    shadows.extend(vehicles.car_shadow(light, car, z))
        for person in self.world.people:
            self._person(things, shadows if sunny else None, person, t, driven, camera, light)
        return things, shadows

    def _building_shadow(
        self, facade: scenery.Facade, light: Lighting, driven: float
    ) -> list[np.ndarray]:
        b = facade.building
        z = scenery.in_street(b.z, driven, 60.0)
        if z > 90.0:
            return []
        far = b.x + b.side * b.depth
        corners = [[x, y, zz] for x in (b.x, far) for y in (0, b.height) for zz in (z, z + b.width)]
        return [light.shadow(np.array(corners, float))]

    def _fixture(
        self,
        things: list,
        shadows: list | None,
        item: Fixture,
        driven: float,
        camera: Camera,
        light: Lighting,
    ) -> None:
        z = scenery.in_street(item.z, driven, BEHIND_M)
        reach = {"tree": 0.5 * item.height, "hedge": 9.5, "lamp": 1.7, "signal": 3.5}
        if z > FIXTURES_SEEN_M or not camera.sees(item.x, z, reach.get(item.kind, 1.2)):
            return
        weather = self.world.weather
        if item.kind == "tree":
            tree = self._trees[item.variant]
            things.append(
                (z, lambda canvas: fixtures.draw_tree(canvas, camera, light, tree, item, z))
            )
            if shadows is not None and z < 60:
                shadows.extend(fixtures.tree_shadow(light, item, z))
            return
        draw = {"lamp": fixtures.draw_lamp, "bicycle": people.draw_bicycle}.get(
            item.kind, fixtures.draw_small
        )
        if item.kind == "bicycle" and not 1.0 < z < PEOPLE_M:
            return
        things.append((z, lambda canvas: draw(canvas, camera, light, weather, item, z)))

    def _car_z(self, car: Car, t: float, driven: float) -> float:
        if car.lead:
            return car.z + 2.5 * float(np.sin(0.3 * t + car.phase))
        return scenery.in_street(car.z + car.heading * car.speed * t, driven, BEHIND_M)

    def _car_drawer(
        self, car: Car, z: float, t: float, camera: Camera, light: Lighting
    ) -> Callable[[Canvas], None]:
        weather = self.world.weather
        closing = -np.cos(0.3 * t + car.phase) if car.lead else 0.0
        braking = float(np.clip(3.0 * closing, 0.0, 1.0))
        return lambda canvas: vehicles.draw_car(canvas, camera, light, weather, car, z, braking)

    def _person(
        self,
        things: list,
        shadows: list | None,
        person: Person,
        t: float,
        driven: float,
        camera: Camera,
        light: Lighting,
    ) -> None:
        weather = self.world.weather
        walked = person.speed * t
        x, z, direction = self._person_place(person, t, driven)
        if not camera.sees(x, z, 1.0) or z < 0.8:
            return
        away = float(np.cos(direction))

        def draw(canvas: Canvas) -> None:
            if person.cycling:
                people.draw_cyclist(
                    canvas, camera, light, weather, person, x, z, direction, walked, away
                )
            else:
                figure = people.walker(person, weather, walked, away)
                people.draw_figure(canvas, camera, light, figure, x, z, direction)

        things.append((z, draw))
        if shadows is not None and z < 45:
            shadows.extend(people.person_shadow(light, person, x, z))

    def _person_place(
        self, person: Person, t: float, driven: float
    ) -> tuple[float, float, float]:
        """x, z in metres and the direction walked."""
        if person.crossing:
            # To and fro over the crossing; the turn happens on the pavement.
            span = self.world.road_half + 1.6
            lap = (person.speed * t / (2 * span) + person.phase) % 2.0
            there = lap < 1.0
            x = span * (2 * lap - 1) if there else span * (3 - 2 * lap)
            return x, person.z, np.pi / 2 if there else -np.pi / 2
        ahead = person.z + person.speed * np.cos(person.direction) * t - driven
        z = (ahead + BEHIND_M) % (PEOPLE_M + BEHIND_M) - BEHIND_M
        return person.x, float(z), person.direction
