"""SAE files of other tools, written in their documented formats, and what their formulas give, in numpy alone."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

D, H, K = 12, 40, 5
Array = NDArray[np.float64]


def weights(seed: int = 0) -> dict[str, Array]:
    """W_enc (d, h), W_dec (h, d), b_enc, b_dec and other vectors, as float32 values."""
    g = np.random.default_rng(seed)
    shapes = {"W_enc": (D, H), "W_dec": (H, D), "b_enc": (H,), "b_dec": (D,), "gate": (H,), "r": (H,), "mag": (H,)}
    found = {name: g.normal(0, 0.5, shape).astype(np.float32).astype(float) for name, shape in shapes.items()}
    found["theta"] = g.uniform(0.2, 1.2, H).astype(np.float32).astype(float)
    return found


def features(seed: int = 1, n: int = 60) -> Array:
    return np.random.default_rng(seed).normal(0.3, 1.5, (n, D)).astype(np.float32).astype(float)


def relu(e: Array) -> Array:
    return np.maximum(e, 0)


def top(z: Array, k: int = K) -> Array:
    smallest = np.sort(z, axis=-1)[:, -k][:, None]
    return np.where(z >= smallest, z, 0)


def jump(e: Array, theta: Any) -> Array:
    return np.where(e > theta, relu(e), 0)


def layer_norm(x: Array) -> tuple[Array, Array, Array]:
    mean, std = x.mean(1, keepdims=True), x.std(1, ddof=1, keepdims=True)
    return (x - mean) / (std + 1e-5), mean, std


@dataclass
class Written:
    """A file, the options that it needs, and the codes and reconstructions of features by its tool's formula."""

    path: Path
    formula: Callable[[Array], tuple[Array, Array]]
    kind: str
    options: dict[str, Any] = field(default_factory=dict)


def tensors(**arrays: Any) -> dict[str, torch.Tensor]:
    return {name.replace("__", "."): torch.tensor(np.asarray(value, np.float32)) for name, value in arrays.items()}


def save(folder: Path, name: str, content: Any, config: dict[str, Any] | None = None, cfg: str = "cfg.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if name.endswith(".safetensors"):
        save_file({key: value.contiguous() for key, value in content.items()}, folder / name)
    else:
        torch.save(content, folder / name)
    if config is not None:
        (folder / cfg).write_text(json.dumps(config))
    return folder


def plain(w: dict[str, Array], act: Callable[[Array], Array], *, pre: bool) -> Callable[[Array], tuple[Array, Array]]:
    def formula(x: Array) -> tuple[Array, Array]:
        z = act((x - w["b_dec"] * pre) @ w["W_enc"] + w["b_enc"])
        return z, z @ w["W_dec"] + w["b_dec"]

    return formula


def gated(w: dict[str, Array]) -> Callable[[Array], tuple[Array, Array]]:
    def formula(x: Array) -> tuple[Array, Array]:
        e = (x - w["b_dec"]) @ w["W_enc"]
        z = (e + w["gate"] > 0) * relu(e * np.exp(w["r"]) + w["mag"])
        return z, z @ w["W_dec"] + w["b_dec"]

    return formula


def saelens(folder: Path, what: str) -> Written:
    w = weights()
    config: dict[str, Any] = {"d_in": D, "d_sae": H, "apply_b_dec_to_input": True, "normalize_activations": "none"}
    base = tensors(W_enc=w["W_enc"], W_dec=w["W_dec"], b_enc=w["b_enc"], b_dec=w["b_dec"])
    options: dict[str, Any] = {}
    formula, kind, architecture = plain(w, relu, pre=True), "relu", what
    if what == "standard-old":
        config = {
            "d_in": D,
            "d_sae": H,
            "hook_point": "a",
            "activation_fn_str": "topk",
            "activation_fn_kwargs": {"k": K},
        }
        formula, kind, architecture = plain(w, lambda e: top(relu(e)), pre=True), "topk", ""
    elif what.startswith("jumprelu"):
        config["apply_b_dec_to_input"] = what == "jumprelu-centred"
        base |= tensors(threshold=w["theta"])
        formula, kind = plain(w, lambda e: jump(e, w["theta"]), pre=what == "jumprelu-centred"), "jumprelu"
        architecture = "jumprelu"
    elif what == "topk-rescaled":
        config |= {"k": K, "rescale_acts_by_decoder_norm": True}
        norm = np.linalg.norm(w["W_dec"], axis=1)

        def formula(x: Array) -> tuple[Array, Array]:
            z = top(relu(((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]) * norm))
            return z, (z / norm) @ w["W_dec"] + w["b_dec"]

        kind, architecture = "topk", "topk"
    elif what == "gated":
        base.pop("b_enc")
        base |= tensors(b_gate=w["gate"], r_mag=w["r"], b_mag=w["mag"])
        formula, kind = gated(w), "gated"
    elif what in ("layer_norm", "constant_norm_rescale"):
        config["normalize_activations"], architecture = what, "standard"

        def formula(x: Array) -> tuple[Array, Array]:
            if what == "layer_norm":
                inner, mean, size = layer_norm(x)
            else:
                size = np.linalg.norm(x, axis=1, keepdims=True) / D**0.5
                inner, mean = x / size, 0
            z, y = plain(w, relu, pre=True)(inner)
            return z, y * size + mean

    elif what == "scaled":
        config["normalize_activations"], architecture = "expected_average_only_in", "standard"
        options = {"scale": 0.7}

        def formula(x: Array) -> tuple[Array, Array]:
            z, y = plain(w, relu, pre=True)(x * 0.7)
            return z, y / 0.7

    if architecture:
        config["architecture"] = architecture
    return Written(save(folder / what, "sae_weights.safetensors", base, config), formula, kind, options)


def dictionary_learning(folder: Path, cls: str, *, config: bool = True, threshold: float = 0.6) -> Written:
    w = weights(2)
    enc, dec = w["W_enc"].T, w["W_dec"].T
    both = {"encoder.weight": enc, "decoder.weight": dec}
    wide = {"W_enc": w["W_enc"], "W_dec": w["W_dec"], "b_enc": w["b_enc"], "b_dec": w["b_dec"]}
    bias = {"encoder.bias": w["b_enc"]}
    k_and = {"k": np.array(K), "threshold": np.array(threshold)}
    theta = float(np.float32(threshold))
    contents: dict[str, tuple[dict[str, Any], Callable[..., Any], str]] = {
        "AutoEncoder": ({**both, **bias, "bias": w["b_dec"]}, plain(w, relu, pre=True), "relu"),
        "AutoEncoderNew": ({**both, **bias, "decoder.bias": w["b_dec"]}, plain(w, relu, pre=False), "relu"),
        "GatedAutoEncoder": (
            {**both, "decoder_bias": w["b_dec"], "r_mag": w["r"], "gate_bias": w["gate"], "mag_bias": w["mag"]},
            gated(w),
            "gated",
        ),
        "JumpReluAutoEncoder": (
            {**wide, "threshold": w["theta"]},
            plain(w, lambda e: jump(e, w["theta"]), pre=False),
            "jumprelu",
        ),
        "AutoEncoderTopK": (
            {**both, **bias, **k_and, "b_dec": w["b_dec"], "threshold": np.array(-1.0)},
            plain(w, lambda e: top(relu(e)), pre=True),
            "topk",
        ),
        "BatchTopKSAE": (
            {**both, **bias, **k_and, "b_dec": w["b_dec"]},
            plain(w, lambda e: jump(e, theta), pre=True),
            "batchtopk",
        ),
        "MatryoshkaBatchTopKSAE": (
            {**wide, **k_and, "group_sizes": np.array([8, 12, 20])},
            plain(w, lambda e: jump(e, theta), pre=True),
            "batchtopk",
        ),
    }
    arrays, formula, kind = contents[cls]
    content = {name: torch.tensor(np.asarray(value, np.float32)) for name, value in arrays.items()}
    for name in ("k", "group_sizes"):
        if name in content:
            content[name] = content[name].int()
    settings = {"trainer": {"dict_class": cls, "activation_dim": D, "dict_size": H, "k": K}, "buffer": {}}
    return Written(save(folder / cls, "ae.pt", content, settings if config else None, "config.json"), formula, kind)


def saev(folder: Path, what: str) -> Written:
    w = weights(3)
    content = tensors(W_enc=w["W_enc"], W_dec=w["W_dec"], b_enc=w["b_enc"], b_dec=w["b_dec"])
    params: dict[str, Any] = {} if what == "Relu" else {"top_k": K}
    act: Callable[[Array], Array] = {"Relu": relu, "TopK": lambda e: top(relu(e)), "BatchTopK": lambda e: jump(e, 0.5)}[
        what
    ]
    if what == "BatchTopK":
        content |= {"activation.threshold": torch.tensor(0.5)}
    cfg = {"d_model": D, "d_sae": H, "activation": {"cls": what, "params": params}}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{what}.pt"
    with path.open("wb") as file:
        file.write(json.dumps({"schema": 5, "cfg": cfg, "commit": "abc", "lib": "0.1"}).encode() + b"\n")
        torch.save(content, file)
    return Written(path, plain(w, act, pre=False), what.lower(), {"clamp": True} if what == "TopK" else {})


def sparsify(folder: Path, activation: str) -> Written:
    w = weights(4)
    content = tensors(encoder__weight=w["W_enc"].T, encoder__bias=w["b_enc"], W_dec=w["W_dec"], b_dec=w["b_dec"])
    config = {"activation": activation, "expansion_factor": 4, "num_latents": H, "k": K, "transcode": False, "d_in": D}

    def act(e: Array) -> Array:
        if activation == "topk":
            return top(relu(e))
        groups = relu(e).reshape(len(e), K, -1)
        return np.where(groups == groups.max(-1, keepdims=True), groups, 0).reshape(e.shape)

    path = save(folder / activation, "sae.safetensors", content, config)
    return Written(path, plain(w, act, pre=True), activation)


def openai(folder: Path, activation: str, *, tied: bool = False, after: str = "ReLU") -> Written:
    w = weights(5)
    if tied:
        w["W_dec"] = w["W_enc"].T
    content: dict[str, Any] = dict(tensors(pre_bias=w["b_dec"], latent_bias=w["b_enc"], encoder__weight=w["W_enc"].T))
    content["decoder.linear.weight" if tied else "decoder.weight"] = torch.tensor(
        np.asarray(w["W_dec"] if tied else w["W_dec"].T, np.float32)
    )
    content |= {"stats_last_nonzero": torch.zeros(H, dtype=torch.long), "activation": activation}
    if activation == "TopK":
        content["activation_state_dict"] = {"k": K, "postact_fn": after}

    def formula(x: Array) -> tuple[Array, Array]:
        if activation == "ReLU":
            return plain(w, relu, pre=True)(x)
        inner, mean, std = layer_norm(x)
        z, y = plain(w, lambda e: top(relu(e)), pre=True)(inner)
        return z, y * std + mean

    save(folder, f"{activation}{tied}.pt", content)
    return Written(folder / f"{activation}{tied}.pt", formula, activation.lower())


def msae(folder: Path, name: str) -> Written:
    w = weights(6)
    tied, norm, cap = name.split("_")[-4:-1]
    model = tensors(encoder=w["W_enc"], pre_bias=w["b_dec"], latent_bias=w["b_enc"])
    model["latents_activation_frequency"] = torch.zeros(H)
    if tied == "True":
        w["W_dec"] = w["W_enc"].T
    else:
        model |= tensors(decoder=w["W_dec"])
    kind = "topk" if "TopK" in name else "jumprelu" if "Jump" in name else "relu"
    log_theta = np.log(w["theta"]).astype(np.float32)
    if kind == "jumprelu":
        model |= tensors(activation__log_threshold=log_theta)
    mean = np.linspace(-0.4, 0.4, D).astype(np.float32).astype(float)
    scale = 1.3

    def act(e: Array) -> Array:
        z = {"topk": lambda: top(relu(e)), "jumprelu": lambda: jump(e, np.exp(log_theta)), "relu": lambda: relu(e)}[
            kind
        ]()
        return float(cap) * np.tanh(z / float(cap)) if float(cap) else z

    def formula(x: Array) -> tuple[Array, Array]:
        inner = (x - mean) * scale
        centre, size = 0.0, 1.0
        if norm == "True":
            inner, centre, size = layer_norm(inner)  # type: ignore[assignment]
        z, y = plain(w, act, pre=True)(inner)
        return z, (y * size + centre) / scale + mean

    content = {"model": model, "mean_center": torch.tensor(mean).float(), "scaling_factor": scale, "target_norm": 3.4}
    save(folder, f"{H}_{D}_{name}.pth", content)
    return Written(folder / f"{H}_{D}_{name}.pth", formula, kind)


def overcomplete(folder: Path, what: str) -> Written:
    w = weights(7)
    content = {
        "encoder.final_block.0.weight": w["W_enc"].T,
        "encoder.final_block.0.bias": w["b_enc"],
        "dictionary._weights": w["W_dec"],
        "dictionary.multiplier": np.array(0.3),
    }
    log_theta = np.log(w["theta"]).astype(np.float32)
    if what == "jumprelu":
        content["thresholds"] = log_theta
    options: dict[str, Any] = {
        "relu": {"kind": "relu"},
        "topk": {"kind": "topk", "k": K},
        "batchtopk": {"kind": "batchtopk", "threshold": 0.5},
        "jumprelu": {},
    }[what]
    rows = w["W_dec"] / (np.linalg.norm(w["W_dec"], axis=1, keepdims=True) + 1e-8) * np.exp(np.float32(0.3))
    act: Callable[[Array], Array] = {
        "relu": relu,
        "topk": lambda e: top(relu(e)),
        "batchtopk": lambda e: np.where(e >= 0.5, relu(e), 0),
        "jumprelu": lambda e: jump(e, np.exp(log_theta)),
    }[what]

    def formula(x: Array) -> tuple[Array, Array]:
        z = act(x @ w["W_enc"] + w["b_enc"])
        return z, z @ rows

    path = save(folder, f"{what}.pt", {k: torch.tensor(np.asarray(v, np.float32)) for k, v in content.items()})
    return Written(path / f"{what}.pt", formula, what, options)


def prisma(folder: Path, what: str) -> Written:
    w = weights(8)
    state = tensors(W_enc=w["W_enc"], W_dec=w["W_dec"], b_dec=w["b_dec"])
    config: dict[str, Any] = {"d_in": D, "d_sae": H, "hook_point_layer": 9, "activation_fn_kwargs": {}}
    if what == "gated":
        state |= tensors(b_gate=w["gate"], r_mag=w["r"], b_mag=w["mag"])
        config |= {"architecture": "gated", "normalize_activations": "none"}
        formula = gated(w)
    else:
        state |= tensors(b_enc=w["b_enc"])
        config |= {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": K}}

        def formula(x: Array) -> tuple[Array, Array]:
            inner, mean, std = layer_norm(x)
            z, y = plain(w, lambda e: top(relu(e)), pre=True)(inner)
            return z, y * std + mean

    path = save(folder / what, "n_images_2600058.pt", {"state_dict": state}, config, "config.json")
    return Written(path, formula, what)


ALL: dict[str, Callable[[Path], Written]] = {
    **{
        f"saelens-{what}": (lambda folder, what=what: saelens(folder, what))  # type: ignore[misc]
        for what in (
            "standard", "standard-old", "jumprelu", "jumprelu-centred", "topk-rescaled", "gated", "layer_norm",
            "constant_norm_rescale", "scaled",
        )
    },
    **{
        f"dictionary_learning-{cls}": (lambda folder, cls=cls: dictionary_learning(folder, cls))  # type: ignore[misc]
        for cls in (
            "AutoEncoder", "AutoEncoderNew", "GatedAutoEncoder", "JumpReluAutoEncoder", "AutoEncoderTopK",
            "BatchTopKSAE", "MatryoshkaBatchTopKSAE",
        )
    },
    **{f"saev-{what}": (lambda folder, what=what: saev(folder, what)) for what in ("Relu", "TopK", "BatchTopK")},  # type: ignore[misc]
    **{f"sparsify-{what}": (lambda folder, what=what: sparsify(folder, what)) for what in ("topk", "groupmax")},  # type: ignore[misc]
    "openai-relu": lambda folder: openai(folder, "ReLU"),
    "openai-topk": lambda folder: openai(folder, "TopK"),
    "openai-tied": lambda folder: openai(folder, "TopK", tied=True),
    "msae-relu": lambda folder: msae(folder, "ReLU_003_False_False_0.0_cc3m"),
    "msae-topk": lambda folder: msae(folder, f"TopKReLU_{K}_RW_True_True_0.0_cc3m"),
    "msae-jumprelu": lambda folder: msae(folder, "JumpReLU_False_False_2.0_cc3m"),
    **{
        f"overcomplete-{what}": (lambda folder, what=what: overcomplete(folder, what))  # type: ignore[misc]
        for what in ("relu", "topk", "batchtopk", "jumprelu")
    },
    "prisma-topk": lambda folder: prisma(folder, "topk"),
    "prisma-gated": lambda folder: prisma(folder, "gated"),
}  # fmt: skip
"""Every variant of every format by name."""
