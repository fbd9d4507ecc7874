"""Losses of each kind of SAE and their gradients by hand, and Adam, in float64 numpy alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = dict[str, Array]
EPSILON, AUXILIARY = 0.05, 1 / 32


def largest(values: Array, count: int) -> NDArray[np.bool_]:
    """Where the largest of an array's values are, and above 0."""
    order = np.argsort(-values, axis=-1)[..., :count]
    chosen = np.zeros(values.shape, bool)
    np.put_along_axis(chosen, order, values=True, axis=-1)
    return chosen & (values > 0)


def gradients(kind: str, w: Weights, x: Array, settings: Any, dead: NDArray[np.bool_] | None) -> Weights:
    """Gradients of the loss of a batch, by the names of the weights."""
    n, d = x.shape
    enc, dec, b = w["encoder_weight"], w["decoder_weight"], w["tied_bias"]
    found = {name: np.zeros_like(value) for name, value in w.items()}
    pre = (x - b) @ enc.T + w["encoder_bias"]
    g_pre = np.zeros_like(pre)

    def through_decoder(z: Array, g_y: Array) -> Array:
        """Add the decoder's part; returns the gradient for the codes."""
        found["decoder_weight"] += g_y.T @ z
        found["tied_bias"] += g_y.sum(0)
        return g_y @ dec

    if kind == "relu":
        z = np.maximum(pre, 0)
        g_z = through_decoder(z, 2 * (z @ dec.T + b - x) / (n * d))
        g_pre += (g_z + settings.l1 / n) * (pre > 0)
    elif kind == "gated":
        gate, mag = pre + w["activation.gate_bias"], pre * np.exp(w["activation.r_mag"]) + w["activation.mag_bias"]
        z = np.maximum(mag, 0) * (gate > 0)
        g_mag = through_decoder(z, 2 * (z @ dec.T + b - x) / (n * d)) * (mag > 0) * (gate > 0)
        open_ = np.maximum(gate, 0)
        g_gate = (2 * (open_ @ dec.T + b - x) / (n * d) @ dec + settings.l1 / n) * (gate > 0)
        found["activation.mag_bias"] = g_mag.sum(0)
        found["activation.r_mag"] = (g_mag * pre).sum(0) * np.exp(w["activation.r_mag"])
        found["activation.gate_bias"] = g_gate.sum(0)
        g_pre += g_gate + g_mag * np.exp(w["activation.r_mag"])
    else:
        spread, k = ((x - x.mean(0)) ** 2).sum(), settings.k
        positive = np.maximum(pre, 0)
        if kind == "topk":
            on = largest(positive, k)
        elif kind == "jumprelu":
            on = (pre > w["activation.threshold"]) & (pre > 0)
        else:
            on = largest(positive.ravel(), k * n).reshape(pre.shape)
        z = positive * on
        ends = np.cumsum(settings.groups) if kind == "matryoshka" else [z.shape[1]]
        g_z = np.zeros_like(z)
        for end in ends:
            own = np.arange(z.shape[1]) < end
            g_z += through_decoder(z * own, 2 * ((z * own) @ dec.T + b - x) / spread / len(ends)) * own
        if kind == "jumprelu":
            theta = w["activation.threshold"]
            near = (np.abs(pre - theta) < EPSILON / 2).astype(float)
            found["activation.threshold"] = (g_z * near * -theta / EPSILON).sum(0)
            excess = on.sum(1).mean() / k - 1
            found["activation.threshold"] += 2 * excess / k / n * (-near / EPSILON).sum(0)
        g_pre += g_z * on
        if dead is not None and dead.any():
            missed = x - (z @ dec.T + b)
            wanted, ids = max(d // 2, 1), np.flatnonzero(dead)
            likely = largest(np.maximum(pre[:, ids], 0), min(wanted, len(ids)))
            z_dead = pre[:, ids] * likely
            weight = AUXILIARY * min(len(ids) / wanted, 1) / ((missed - missed.mean(0)) ** 2).sum()
            g_made = 2 * weight * (z_dead @ dec[:, ids].T - missed)
            found["decoder_weight"][:, ids] += g_made.T @ z_dead
            g_pre[:, ids] += (g_made @ dec[:, ids]) * likely
    found["encoder_weight"] = g_pre.T @ (x - b)
    found["encoder_bias"] = np.zeros_like(w["encoder_bias"]) if kind == "gated" else g_pre.sum(0)
    found["tied_bias"] -= (g_pre @ enc).sum(0)
    return found


def train(kind: str, w: Weights, x: Array, settings: Any, steps: int) -> Weights:
    """Weights after so many steps of Adam on all cells at once, one step an epoch."""
    w = {name: value.copy() for name, value in w.items()}
    moments = {name: (np.zeros_like(value), np.zeros_like(value)) for name, value in w.items()}
    total = settings.epochs
    for step in range(steps):
        found = gradients(kind, w, x, settings, None)
        dec = w["decoder_weight"]
        found["decoder_weight"] -= (found["decoder_weight"] * dec).sum(0) * dec
        share = 1.0
        if kind != "relu":
            norm = np.sqrt(sum((value**2).sum() for value in found.values()))
            found = {name: value * min(1, 1 / (norm + 1e-6)) for name, value in found.items()}
            share = min((step + 1) / (total // 10 + 1), 1, (total - step) / (total // 5 + 1))
        for name, gradient in found.items():
            first, second = moments[name]
            first[...] = 0.9 * first + 0.1 * gradient
            second[...] = 0.999 * second + 0.001 * gradient**2
            size = np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8
            w[name] -= share * settings.learning_rate * first / (1 - 0.9 ** (step + 1)) / size
        w["decoder_weight"] /= np.linalg.norm(w["decoder_weight"], axis=0)
        if "activation.threshold" in w:
            w["activation.threshold"] = np.maximum(w["activation.threshold"], 0)
    if kind in ("batchtopk", "matryoshka"):
        positive = np.maximum((x - w["tied_bias"]) @ w["encoder_weight"].T + w["encoder_bias"], 0)
        w["activation.threshold"] = np.sort(positive, axis=None)[-settings.k * len(x)]
    return w
