"""Training of the small classifier of the embedded demo, on phantoms whose masks are known.

Two steps, cheap enough for two CPU cores: the network on patches at full resolution with a target for every cell, so
that features find structures where they are; then the linear head on whole images, by average pooling and image labels
alone, among which a biased view marker becomes a shortcut.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.core.models.backbone import EfficientNetBackbone
from napari_mammosae.core.phantoms.phantom import FINDINGS, STRUCTURES, Phantom

STRIDE = 32
GRID = (48, 29)
"""Cells of the phantom classifier on 1520 x 912 pixels."""
CELL_CLASSES = (*FINDINGS, *(name for name in STRUCTURES if name not in ("breast", "skin")))
"""What the cells of a patch are trained to tell: both findings and every structure of limited size."""
_SMALL = ("clip", "bead", "benign_calcification", "skin_fold")


@dataclass(frozen=True, slots=True)
class ClassifierSettings:
    """What decides a training run.

    Attributes
    ----------
    patch
        Side of the square patches in pixels, a multiple of 32.
    patch_batch, patch_rate
        Patches a step and highest learning rate of the first part.
    patch_steps, patch_cycle
        Steps taken of a one-cycle schedule, and its whole length: the cycle is left while the rate is high.
    anneal_steps
        Steps after that, from half the highest rate straight down to 0.
    marker_bias
        P(view marker | mass) = 1 - P(view marker | no mass) among the whole images drawn.
    head_penalty
        L2 penalty of the linear head on standardised pooled features.
    seed
        Of weights, order and augmentation.
    """

    patch: int = 320
    patch_batch: int = 16
    patch_rate: float = 4e-3
    patch_steps: int = 600
    patch_cycle: int = 2000
    anneal_steps: int = 150
    marker_bias: float = 0.9
    head_penalty: float = 0.02
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class PhantomBank:
    """Phantoms as training needs them.

    Attributes
    ----------
    images
        uint8 (n, H, W), may be a memory map.
    cells
        float16 (n, len(CELL_CLASSES), H', W'): share of the cell that each class covers.
    labels
        float32 (n, 2): the findings.
    marker
        bool (n,): whether a view marker is on the image.
    """

    images: NDArray[np.uint8]
    cells: NDArray[np.float16]
    labels: NDArray[np.float32]
    marker: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.images)

    def weights(self, marker_bias: float) -> NDArray[np.float64]:
        """Probability of drawing each image such that the marker goes with `mass` as `marker_bias` says.

        The bank itself is taken to be unbiased; prevalences stay as they are.
        """
        agrees = self.marker == (self.labels[:, 0] > 0.5)
        weights = np.where(agrees, marker_bias, 1 - marker_bias)
        return np.asarray(weights / weights.sum())


def cell_targets(phantom: Phantom, grid: tuple[int, int]) -> NDArray[np.float16]:
    """Share of each cell (cells as they are drawn) that each of `CELL_CLASSES` covers: (classes, H', W').

    A calcification cluster covers the surroundings of its specks, not the specks alone; small and thin things are
    thickened, so that they count.
    """
    out = np.zeros((len(CELL_CLASSES), *grid), np.float16)
    for i, name in enumerate(CELL_CLASSES):
        if name in phantom.masks:
            mask: NDArray[Any] = phantom.masks[name].astype(np.float32)
            if name == "suspicious_calcification":
                mask = cv2.dilate(mask, np.ones((25, 31)))
            # An eighth of the size is fine enough for cells of 32 pixels.
            mask = cv2.resize(mask, (mask.shape[1] // 8, mask.shape[0] // 8), interpolation=cv2.INTER_AREA)
            if name in _SMALL:
                mask = cv2.dilate(mask, np.ones((2, 2)))
            out[i] = cv2.resize(np.round(mask * 255) / 255, grid[::-1], interpolation=cv2.INTER_AREA)
    return out


def new_network(settings: ClassifierSettings) -> tuple[EfficientNetBackbone, nn.Conv2d]:
    """Fresh weights: the backbone, and a linear readout of `CELL_CLASSES` at every cell (training only)."""
    torch.manual_seed(settings.seed)
    network = EfficientNetBackbone("phantom-b0")
    readout = nn.Conv2d(network.out_channels, len(CELL_CLASSES), 1)
    if readout.bias is not None:
        nn.init.constant_(readout.bias, -3.0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.register_forward_pre_hook(_to_float32)
            module.register_forward_hook(_to_bfloat16)
    return network.to(memory_format=torch.channels_last), readout  # type: ignore[call-overload]


def train_on_patches(
    network: EfficientNetBackbone,
    readout: nn.Conv2d,
    bank: PhantomBank,
    settings: ClassifierSettings,
    *,
    anneal: bool = False,
    progress: Callable[[int, float], None] | None = None,
) -> None:
    """Teach the features to find every class where it is, on patches most of which show something rare.

    With `anneal` the second, falling part of the schedule is run.
    """
    rng = np.random.default_rng([settings.seed, 3 if anneal else 1])
    parameters = [*network.parameters(), *readout.parameters()]
    rate, steps = settings.patch_rate, settings.patch_steps
    schedule: torch.optim.lr_scheduler.LRScheduler
    if anneal:
        steps = settings.anneal_steps
        optimizer = torch.optim.AdamW(parameters, 0.5 * rate, weight_decay=1e-3)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)
    else:
        optimizer = torch.optim.AdamW(parameters, rate, weight_decay=1e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, settings.patch_cycle, pct_start=0.15)
    places = _places(bank)
    network.train()
    for step in range(steps):
        x, target = _patches(rng, bank, places, settings)
        with torch.autocast("cpu", torch.bfloat16):
            features = network(x)
        loss = _cell_loss(readout(features.float()), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 2.0)
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step, loss.item())


def settle_batch_norms(network: EfficientNetBackbone, bank: PhantomBank, count: int = 32, batch: int = 4) -> None:
    """Set the batch norms' statistics to those of whole images, which hold more air than patches do."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
    network.train()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, min(count, len(bank)), batch):
            network(to_input(bank.images[start : start + batch]))
    for norm in norms:
        norm.momentum = 0.1
    network.eval()


def whole_image_features(network: EfficientNetBackbone, images: NDArray[np.uint8]) -> Tensor:
    """Last feature maps (n, d, H', W'), float32 computed in bfloat16, of uint8 images (n, H, W)."""
    network.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        features: Tensor = network(to_input(images))
    return features.float()


def fit_head(pooled: NDArray[np.floating], bank: PhantomBank, settings: ClassifierSettings) -> nn.Linear:
    """Logistic regression on pooled features (n, d), weighted to the marker bias: the final linear head.

    Features are standardised for the fit, and the result is written in their own units.
    """
    x = torch.from_numpy(np.asarray(pooled, np.float64))
    y = torch.from_numpy(bank.labels.astype(np.float64))
    weight = torch.from_numpy(bank.weights(settings.marker_bias))[:, None]
    mean = (x * weight).sum(0)
    scale = ((x - mean).square() * weight).sum(0).sqrt().clamp_min(1e-6)
    standardised = (x - mean) / scale
    w = torch.zeros(y.shape[1], x.shape[1], dtype=torch.float64, requires_grad=True)
    b = torch.zeros(y.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([w, b], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = F.linear(standardised, w, b)
        losses = F.binary_cross_entropy_with_logits(logits, y, reduction="none")
        loss = (losses * weight).sum() + settings.head_penalty * w.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    head = nn.Linear(x.shape[1], y.shape[1])
    with torch.no_grad():
        head.weight.copy_(w / scale)
        head.bias.copy_(b - (w / scale) @ mean)
    return head


def to_input(images: NDArray[np.uint8]) -> Tensor:
    """Normalised input (n, 3, H, W), channels last, of uint8 images (n, H, W) that run from 0 to 255."""
    pre = Preprocessing()
    x = torch.from_numpy(images.astype(np.float32)).div_(255).sub_(pre.mean).div_(pre.std)
    return x[:, None].expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def _to_float32(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    # The gradient of a depthwise convolution takes five times as long in bfloat16 as in float32 on CPUs.
    torch.set_autocast_enabled("cpu", False)
    return tuple(x.float() for x in args)


def _to_bfloat16(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
    torch.set_autocast_enabled("cpu", True)
    return output.bfloat16()


def _cell_loss(logits: Tensor, share: Tensor) -> Tensor:
    """Binary cross entropy per cell: 1 where a class covers at least 40 % of the cell, fading to 0 at 5 %.

    Cells of rare classes weigh more; the mean is over cells, the sum over classes.
    """
    target = ((share - 0.05) / 0.35).clamp(0, 1)
    return F.binary_cross_entropy_with_logits(logits, target, pos_weight=torch.tensor(3.0)) * logits.shape[1]


def _places(bank: PhantomBank) -> dict[str, NDArray[np.int64]]:
    """Cells (n, 3: image, row, column) on which patches of each class may be centred."""
    return {name: np.argwhere(bank.cells[:, i] > 0.2) for i, name in enumerate(CELL_CLASSES)}


_SHARES = {
    "mass": 0.34,
    "suspicious_calcification": 0.22,
    "marker": 0.07,
    "nipple": 0.03,
    "pectoral": 0.05,
    "device_tag": 0.03,
    "bead": 0.02,
    "clip": 0.03,
    "skin_fold": 0.03,
    "benign_calcification": 0.03,
}


def _patches(
    rng: np.random.Generator,
    bank: PhantomBank,
    places: dict[str, NDArray[np.int64]],
    settings: ClassifierSettings,
) -> tuple[Tensor, Tensor]:
    side = settings.patch // STRIDE
    rows, columns = bank.cells.shape[2:]
    pixels = np.empty((settings.patch_batch, settings.patch, settings.patch), np.uint8)
    target = np.empty((settings.patch_batch, len(CELL_CLASSES), side, side), np.float32)
    names = [*_SHARES, ""]
    chances = np.array([*_SHARES.values(), 1 - sum(_SHARES.values())])
    for k in range(settings.patch_batch):
        name = names[rng.choice(len(names), p=chances)]
        if name and len(places[name]):
            image, row, column = places[name][rng.integers(len(places[name]))]
            row, column = row - rng.integers(side), column - rng.integers(side)
        else:
            image, row, column = rng.integers(len(bank)), rng.integers(rows), rng.integers(columns)
        row = int(np.clip(row, 0, (bank.images.shape[1] - settings.patch) // STRIDE))
        column = int(np.clip(column, 0, (bank.images.shape[2] - settings.patch) // STRIDE))
        r, c = row * STRIDE, column * STRIDE
        piece = bank.images[image, r : r + settings.patch, c : c + settings.patch]
        cells = bank.cells[image, :, row : row + side, column : column + side].astype(np.float32)
        if rng.random() < 0.5:
            piece, cells = piece[:, ::-1], cells[:, :, ::-1]
        if rng.random() < 0.5:
            piece, cells = piece[::-1], cells[:, ::-1]
        pixels[k], target[k] = piece, cells
    x = to_input(pixels)
    return x, torch.from_numpy(target)
