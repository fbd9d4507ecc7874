"""ianpan/mammoscreen: one network of its ensemble, by the settings beside its weights; none of its code is run."""

from itertools import takewhile
from pathlib import Path

from torch import Tensor

from ...base.errors import CheckpointError
from ..timm_import import import_timm
from ..weights.checkpoints import load_tensors
from ..weights.state_dicts import Place, tables
from .kinds import CONFIG, MammoscreenConfig, NetworkSource, read_mammoscreen_config
from .network import NetworkBackbone
from .timm_network import Loaded, build, classifier_of, network_name
from .weights import fill, find_weights


def read_mammoscreen(path: Path, source: NetworkSource, size: tuple[int, int]) -> Loaded:
    """Build one network of the ensemble with the weights of a file.

    Parameters
    ----------
    path
        The weights of all networks; the settings lie beside them.
    source
        Which network: the first, second or third, in the order of their names.
    size
        (H, W) of its input.

    Raises
    ------
    CheckpointError, UnsafeCheckpointError, ModelError
        If file or settings are not what they should be.
    """
    config, timm = read_mammoscreen_config(path.with_name(CONFIG)), import_timm()
    name = network_name(timm, NetworkSource("timm", config.backbone))
    network = build(timm, name, size, config.channels, config.classes)
    layer = classifier_of(timm, name)[0]
    expected = network.state_dict()
    content = load_tensors(path)[0]
    trunk = [key for key in expected if not key.startswith(f"{layer}.")]
    found = sorted(find_weights(content, path.name, trunk, name), key=lambda place: place.path)
    if len(found) != len(config.sizes):
        raise CheckpointError(f"{path.name} holds {len(found)} networks, {CONFIG} describes {len(config.sizes)}")
    place = found[source.member]
    head = _layer(content, path.name, place, config, int(expected[f"{layer}.weight"].shape[1]))
    weights = {key: value for key, value in place.tensors.items() if key in expected}
    weights |= {f"{layer}.{part}": value for part, value in head.items()}
    fill(network, weights, path.name, name)
    backbone = NetworkBackbone(network, name, "mammoscreen", config.channels, size, fixed=False)
    return Loaded(backbone, place.name)


def _layer(content: object, file: str, place: Place, config: MammoscreenConfig, width: int) -> dict[str, Tensor]:
    """Return weight and bias of the classification layer that stands nearest to a network's weights."""
    found: list[tuple[int, dict[str, Tensor]]] = []
    for keys, table in tables(content, file):
        for key, value in table.items():
            if value.shape == (config.classes, width) and key.endswith(".weight"):
                pairs = zip((*keys, *key.split(".")), place.path, strict=False)
                shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
                bias = table.get(f"{key.removesuffix('weight')}bias")
                found.append((shared, {"weight": value} if bias is None else {"weight": value, "bias": bias}))
    nearest = max((shared for shared, _ in found), default=0)
    own = [layer for shared, layer in found if shared == nearest]
    if len(own) != 1 or set(own[0]) != {"weight", "bias"}:
        raise CheckpointError(
            f"{file} holds no classification layer of {config.classes} x {width} beside {place.name}; copy or download "
            "it again"
        )
    return own[0]
