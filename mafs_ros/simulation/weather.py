"""Weather and time of day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KELVIN = 273.15


@dataclass(frozen=True)
class Weather:
    """Light and heat of the whole scene. Temperatures in kelvin, light as in Lighting."""

    night: bool
    ambient: np.ndarray
    sun: np.ndarray
    to_sun: np.ndarray
    sky_top: np.ndarray
    sky_horizon: np.ndarray
    clouds: float
    visibility_m: float
    air: float
    sky_kelvin: float
    road: float
    pavement: float
    wall: float
    leaves: float
    lamp_colour: np.ndarray
    beam: float
    wet: float


def make_weather(rng: np.random.Generator, night: bool) -> Weather:
    """Weather of one scene."""
    clouds = float(rng.uniform(0.0, 1.0))
    tint = np.array([1.0, 1.0, 1.0]) + rng.uniform(-0.06, 0.06, 3)
    elevation, azimuth = rng.uniform(0.35, 1.0), rng.uniform(0, 2 * np.pi)
    to_sun = np.array(
        [
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
            np.cos(elevation) * np.cos(azimuth),
        ]
    )
    if night:
        glow = rng.choice([0.0015, 0.004, 0.012]) * rng.uniform(0.6, 1.4)
        air = KELVIN + rng.uniform(0.0, 20.0)
        return Weather(
            night=True,
            ambient=glow * np.array([0.85, 0.95, 1.1]) * tint,
            sun=np.zeros(3),
            to_sun=to_sun,
            sky_top=rng.uniform(0.0006, 0.004) * np.array([0.6, 0.8, 1.4]),
            sky_horizon=rng.uniform(0.003, 0.016) * np.array([1.1, 0.95, 0.85]),
            clouds=clouds,
            visibility_m=float(rng.uniform(150, 600)),
            air=air,
            sky_kelvin=air - 3.0 - 7.0 * (1.0 - clouds),
            road=air + rng.uniform(-2.5, 2.5),
            pavement=air + rng.uniform(-1.5, 3.5),
            wall=air + rng.uniform(0.0, 3.5),
            leaves=air + rng.uniform(-0.3, 1.2),
            lamp_colour=rng.uniform(0.15, 1.0)
            * np.array([[1.0, 0.62, 0.28], [1.0, 0.85, 0.62], [0.78, 1.0, 0.85]][rng.integers(3)]),
            beam=float(rng.choice([0.0, 0.2, 0.5, 1.2])),
            wet=float(rng.choice([0.0, 0.0, 0.0, 0.5, 0.9])),
        )
    sunny = float(np.clip(1.3 - 1.8 * clouds + rng.uniform(-0.2, 0.2), 0.0, 1.0))
    brightness = rng.uniform(0.75, 1.2)
    air = KELVIN + rng.uniform(4.0, 31.0)
    grey = np.array([0.75, 0.8, 0.86])
    blue = np.array([0.16, 0.36, 0.82])
    top = blue * (1 - clouds) + grey * clouds
    return Weather(
        night=False,
        ambient=brightness * (0.24 + 0.34 * (1 - sunny)) * np.array([0.9, 1.0, 1.12]) * tint,
        sun=brightness * 1.0 * sunny * np.array([1.0, 0.93, 0.8]) * tint,
        to_sun=to_sun,
        sky_top=top * brightness * rng.uniform(0.8, 1.4),
        sky_horizon=np.array([0.95, 1.0, 1.05]) * brightness * rng.uniform(0.9, 1.4),
        clouds=clouds,
        visibility_m=float(rng.uniform(160, 700)),
        air=air,
        sky_kelvin=air - 3.0 - 6.0 * (1.0 - clouds),
        road=air + 13.0 * sunny * to_sun[1] + rng.uniform(-2.5, 2.0),
        pavement=air + 11.0 * sunny * to_sun[1] + rng.uniform(-2.0, 2.0),
        wall=air + 5.0 * sunny + rng.uniform(-1.0, 1.5),
        leaves=air + rng.uniform(0.0, 1.5) + 1.5 * sunny,
        lamp_colour=np.ones(3),
        beam=0.0,
        wet=0.0,
    )
