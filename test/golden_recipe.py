"""Weights and inputs of the goldens: pure functions of name, shape and seed."""

import zlib

import numpy as np


def gain_of(key):
    """Factor on the He scale: small in the residual trunks and the INN decoder."""
    if key.startswith(("encoder.encoder_rgb_layer", "encoder.encoder_thermal_layer")):
        return 0.6
    if key.startswith("fuse_decoder."):
        return 0.4
    if key.endswith(".sa.conv1.weight"):  # CAM spatial attention: keep its sigmoid near 0.5
        return 0.15
    return 0.8


def golden_tensor(key, shape, dtype="float32"):
    """Value of one state-dict entry, a pure function of (key, shape)."""
    shape = tuple(int(s) for s in shape)
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked" or not dtype.startswith("float"):
        return np.zeros(shape, dtype=np.int64)
    rng = np.random.default_rng(zlib.crc32(key.encode("utf-8")))
    if leaf == "p":  # permutation matrix of an invertible 1x1 conv
        perm = rng.permutation(shape[0])
        out = np.zeros(shape)
        out[np.arange(shape[0]), perm] = 1.0
    elif leaf == "sign_s":
        out = np.where(rng.random(shape) < 0.5, -1.0, 1.0)
    else:
        n = rng.standard_normal(shape)
        if leaf == "running_mean":
            out = 0.1 * n
        elif leaf == "running_var":
            out = 1.0 + 0.2 * np.abs(n)
        elif leaf == "weight" and len(shape) >= 2:  # conv / linear
            out = n * np.sqrt(2.0 / np.prod(shape[1:])) * gain_of(key)
        elif leaf == "weight":  # any 1-d weight is a norm scale
            out = 1.0 + 0.1 * n
        elif leaf == "bias":
            out = 0.05 * n
        elif leaf == "T_c":  # DEM/EAEF logit scale, 0-d
            out = 256.0 * (1.0 + 0.1 * n)
        elif leaf == "gamma":  # CAM channel-attention residual scale, shape [1]
            out = 0.2 + 0.02 * n
        elif leaf == "temperature":  # MDTA temperature, shape [heads,1,1]
            out = 1.0 + 0.1 * n
        else:  # log_s, lower, upper
            out = 0.1 * n
    return np.asarray(out, dtype=np.float32)


def _up(a, n, axis):
    """Linear interpolation of `a` along `axis` to length n, endpoints aligned."""
    m = a.shape[axis]
    pos = np.linspace(0.0, m - 1.0, n)
    i0 = np.minimum(np.floor(pos).astype(int), m - 2)
    t = pos - i0
    sh = [1] * a.ndim
    sh[axis] = n
    t = t.reshape(sh)
    return np.take(a, i0, axis) * (1.0 - t) + np.take(a, i0 + 1, axis) * t


def golden_input(seed, batch, channels, h, w):
    """uint8 image stack [batch, channels, h, w]; divide by 255 in float32 to feed the network."""
    rng = np.random.default_rng(seed)
    low = rng.random((batch, channels, h // 16 + 2, w // 16 + 2))
    fine = rng.standard_normal((batch, channels, h, w))
    img = 0.1 + 0.8 * _up(_up(low, h, 2), w, 3) + 0.04 * fine
    return np.round(255.0 * np.clip(img, 0.0, 1.0)).astype(np.uint8)


def golden_pair(seed, batch, h, w):
    """(vi, ir) float32 in [0,1]: vi uses seed, ir uses seed + 1."""
    vi = golden_input(seed, batch, 3, h, w).astype(np.float32) / np.float32(255)
    ir = golden_input(seed + 1, batch, 1, h, w).astype(np.float32) / np.float32(255)
    return vi, ir
