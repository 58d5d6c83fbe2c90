"""Everything that stands and moves in a street, painted as one pinhole camera sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from mafs_ros.simulation import body, facades, fixtures, people, scenery, vehicles
from mafs_ros.simulation.camera import Camera
from mafs_ros.simulation.canvas import WHITE, Canvas
from mafs_ros.simulation.lighting import Lighting
from mafs_ros.simulation.world import BEHIND_M, PEOPLE_M, Person, World

LAMPS_LIT = 9


@dataclass(frozen=True)
class _Walking:
    person: Person
    at: people.Placed


class Scene:
    """A street without its sky. rng: of the looks of the ground and the fixtures."""

    def __init__(self, rng: np.random.Generator, world: World):
        self.world = world
        weather = world.weather
        self._ground = scenery.Ground(rng, world)
        lamps = Lighting(weather.ambient, weather.sun, weather.to_sun, 0.0)
        lamps.lamps, lamps.lamp_colours = self._lamp_light(0.0, 15.0)
        self._facades = facades.make_facades(world, lamps)
        self._furniture = fixtures.Furniture(rng, world.fixtures, weather)
        self._traffic = vehicles.Traffic(world.cars, weather)
        parked = [item for item in world.fixtures if item.kind == "bicycle"]
        self._bicycles = [(item, people.bicycle(item, weather)) for item in parked]

    def draw(self, canvas: Canvas, camera: Camera, t: float) -> None:
        """Paint the moment t seconds over the sky, from the ground to what is nearest."""
        driven = self.world.driven(t)
        car_z = self._car_places(t, driven)
        light = self._lighting(driven, car_z)
        walking = self._walking(t, driven, camera)
        shadows = self._shadows(light, driven, car_z, walking) if light.sun.any() else []
        self._background(canvas, camera, light, driven, shadows)
        things = self._furniture.drawers(canvas, camera, light, driven)
        things += self._traffic.drawers(canvas, camera, light, car_z, self._braking(t))
        things += self._figures(canvas, camera, light, driven, walking)
        for _, draw in sorted(things, key=lambda thing: -thing[0]):
            draw()

    def _lamp_light(self, driven: float, nearest_m: float) -> tuple[np.ndarray, np.ndarray]:
        """Places [N, 3] and colours [N, 3] of the street lamps that burn."""
        weather = self.world.weather
        lamps = [item for item in self.world.fixtures if item.kind == "lamp"]
        if not (weather.night and lamps):
            return np.zeros((0, 3)), np.zeros((0, 3))
        heads = np.array([fixtures.lamp_head(lamp) for lamp in lamps])
        z = scenery.in_street(np.array([lamp.z for lamp in lamps]), driven, nearest_m)
        colours = np.outer(0.16 * heads[:, 1] ** 2, weather.lamp_colour)
        return np.column_stack([heads, z]), colours

    def _lighting(self, driven: float, car_z: np.ndarray) -> Lighting:
        """The light around the camera: the nearest lamps, oncoming cars, own headlights."""
        weather = self.world.weather
        places, colours = self._lamp_light(driven, 15.0)
        if weather.night:
            oncoming = [
                [car.x, 1.6, z - 5.0]
                for car, z in zip(self.world.cars, car_z, strict=True)
                if car.lights and car.heading < 0 and 3.0 < z < 60.0
            ]
            places = np.concatenate([places, np.array(oncoming).reshape(-1, 3)])
            colours = np.concatenate([colours, np.tile([0.9, 0.87, 0.8], (len(oncoming), 1))])
        near = np.argsort(np.abs(places[:, 2] - 10.0), kind="stable")[:LAMPS_LIT]
        return Lighting(
            weather.ambient, weather.sun, weather.to_sun, weather.beam, places[near], colours[near]
        )

    def _background(
        self, canvas: Canvas, camera: Camera, light: Lighting, driven: float, shadows: list
    ) -> None:
        top = int(np.clip(np.ceil(camera.horizon_v + 0.5), 0, camera.height - 1))
        surface = canvas.flat(np.zeros((1, 3)), np.array([[0.0, 1.0, 0.0]]), np.inf)[0]
        self._ground.draw(canvas, camera, driven, top, surface)
        scenery.draw_markings(canvas, camera, self.world, driven, surface)
        ground = canvas.pixels[top:]
        cv2.multiply(ground, light.on_ground(camera, top, shadows), ground, scale=1.0 / WHITE)
        starts = np.array([facade.building.z for facade in self._facades])
        starts = scenery.in_street(starts, driven, 45.0)
        for i in np.argsort(-starts, kind="stable"):
            facade, z = self._facades[i], float(starts[i])
            if z < fixtures.SEEN_M and z + facade.building.width > 0.5:
                facade.draw(canvas, camera, z)

    def _shadows(
        self, light: Lighting, driven: float, car_z: np.ndarray, walking: list[_Walking]
    ) -> list[np.ndarray]:
        """Outlines on the ground of all shadows within some 60 m."""
        found = []
        for facade in self._facades:
            b = facade.building
            z = float(scenery.in_street(np.array(b.z), driven, 60.0))
            if z < 90.0:
                ends = [[x, zz] for x in (b.x, b.x + b.side * b.depth) for zz in (z, z + b.width)]
                corners = [[x, y, zz] for x, zz in ends for y in (0.0, b.height)]
                found.append(light.shadow(np.array(corners)))
        for item in self.world.fixtures:
            if item.kind == "tree":
                z = float(scenery.in_street(np.array(item.z), driven, 25.0))
                if z < 60.0:
                    found.extend(fixtures.tree_shadow(light, item, z))
        for i in np.flatnonzero(car_z < 50.0):
            found.append(self._traffic.shadow(light, int(i), float(car_z[i])))
        for one in walking:
            if one.at.z < 45.0:
                found.append(people.shadow(light, one.person, one.at.x, one.at.z))
        return found

    def _car_places(self, t: float, driven: float) -> np.ndarray:
        """Distance ahead [N] in metres of every car."""
        return np.array(
            [
                car.z + 2.5 * np.sin(0.3 * t + car.phase)
                if car.lead
                else scenery.in_street(
                    np.array(car.z + car.heading * car.speed * t), driven, BEHIND_M
                )
                for car in self.world.cars
            ],
            float,
        )

    def _braking(self, t: float) -> np.ndarray:
        """How hard [N], 0..1, every car brakes: those ahead when they come closer."""
        closing = [-np.cos(0.3 * t + car.phase) * car.lead for car in self.world.cars]
        return np.clip(3.0 * np.array(closing, float), 0.0, 1.0)

    def _walking(self, t: float, driven: float, camera: Camera) -> list[_Walking]:
        """People and cyclists in sight."""
        weather = self.world.weather
        found = []
        for person in self.world.people:
            x, z, direction = self._place(person, t, driven)
            if z < 0.8 or not camera.sees(np.array(x), np.array(z), 1.0):
                continue
            make = body.cyclist if person.cycling else body.walker
            figure = make(person, weather, person.speed * t, float(np.cos(direction)))
            found.append(_Walking(person, people.Placed(figure, x, z, direction)))
        return found

    def _place(self, person: Person, t: float, driven: float) -> tuple[float, float, float]:
        """x, z in metres and the direction walked."""
        if person.crossing:
            # To and fro over the crossing; the turn happens on the pavement.
            span = self.world.road_half + 1.6
            lap = (person.speed * t / (2 * span) + person.phase) % 2.0
            if lap < 1.0:
                return span * (2 * lap - 1), person.z, np.pi / 2
            return span * (3 - 2 * lap), person.z, -np.pi / 2
        ahead = person.z + person.speed * np.cos(person.direction) * t - driven
        z = (ahead + BEHIND_M) % (PEOPLE_M + BEHIND_M) - BEHIND_M
        return person.x, float(z), person.direction

    def _figures(
        self,
        canvas: Canvas,
        camera: Camera,
        light: Lighting,
        driven: float,
        walking: list[_Walking],
    ) -> list[tuple[float, Callable[[], None]]]:
        """(distance, draw) of people, cyclists and parked bicycles in sight."""
        weather = self.world.weather
        placed = [one.at for one in walking]
        wheeled = [one.person.cycling for one in walking]
        for item, figure in self._bicycles:
            z = float(scenery.in_street(np.array(item.z), driven, BEHIND_M))
            if 1.0 < z < PEOPLE_M and camera.sees(np.array(item.x), np.array(z), 1.0):
                placed.append(people.Placed(figure, item.x, z, item.phase))
                wheeled.append(True)
        ready = people.prepare(canvas, camera, light, placed)

        def draw(i: int) -> None:
            if wheeled[i]:
                people.draw_wheels(canvas, camera, light, weather, placed[i])
            canvas.fill_all(*ready[i])
            if weather.night and i < len(walking) and wheeled[i]:
                people.draw_bicycle_lamp(canvas, camera, placed[i])

        return [(at.z, partial(draw, i)) for i, at in enumerate(placed)]
