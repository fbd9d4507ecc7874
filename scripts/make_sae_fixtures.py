"""Write small SAE files with the libraries that other people use, and what these make of them: data for tests.

    python scripts/make_sae_fixtures.py LIBRARIES OUT

LIBRARIES is a folder with a folder for each library, as installed without its dependencies:

    for name in dictionary-learning sae-lens overcomplete eai-sparsify saev; do
        pip install --no-deps --target LIBRARIES/$name $name
    done

What the libraries import and these files do not need is replaced by stand-ins. Each folder in OUT has the file as the
library wrote it, and `expected.npz` with inputs, codes and reconstructions as the library computed them.
OUT/MADE_WITH.json has the versions. At the end SAEs of every kind that this package writes for SAELens and
dictionary_learning are read by these libraries, and their codes compared.

Not part of the tests. OpenAI's and MSAE's code is no package; Prisma's package has no SAE.
"""

import importlib.abc
import importlib.machinery
import json
import logging
import re
import sys
import tempfile
import types
from dataclasses import asdict
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

D, H, K, CELLS = 6, 16, 3, 24
LIBRARIES = {
    "dictionary-learning": "dictionary_learning",
    "sae-lens": "sae_lens",
    "overcomplete": "overcomplete",
    "eai-sparsify": "sparsify",
    "saev": "saev",
}


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Modules of libraries that are not installed: every name in them is a class that does nothing."""

    names: ClassVar = {
        "accelerate", "beartype", "datasets", "einops", "jaxtyping", "natsort", "nnsight", "schedulefree",
        "simple_parsing", "transformer_lens", "transformers", "wandb", "zstandard",
    }  # fmt: skip

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return a spec for a name that is stood in for."""
        if name.partition(".")[0] in self.names:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> types.ModuleType:
        """Return the stand-in."""
        return _StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing is to be run."""


class _StandIn(types.ModuleType):
    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        special = {"HookPoint": nn.Identity, "HookedRootModule": _Hooked, "beartype": lambda f: f,
                   "jaxtyped": lambda **_: lambda f: f, "einsum": _einsum, "Serializable": _Serializable}  # fmt: skip
        if self.__name__ == "simple_parsing" and name == "list_field":
            return lambda *_: None
        empty = {"__init__": lambda *_, **__: None, "__class_getitem__": classmethod(lambda cls, _: cls)}
        return special.get(name) or type(name, (), empty)


class _Hooked(nn.Module):
    def setup(self) -> None:
        """Hooks are not needed."""


class _Serializable:
    def to_dict(self) -> dict[str, Any]:
        return asdict(self)  # type: ignore[call-overload, no-any-return]


def _einsum(*given: Any) -> torch.Tensor:
    *tensors, pattern = given
    letters: dict[str, str] = {}
    short = re.sub(r"\w+", lambda word: letters.setdefault(word.group(), chr(ord("a") + len(letters))), pattern)
    return torch.einsum(short.replace(" ", ""), *tensors)


def stand_in(libraries: Path) -> dict[str, str]:
    """Make the libraries importable, part by part, without what their packages import first; return their versions."""
    sys.meta_path.append(StandIns())
    versions = {}
    for folder, package in LIBRARIES.items():
        info = next((libraries / folder).glob("*.dist-info"))
        versions[folder] = PathDistribution(info).version
        module = types.ModuleType(package)
        module.__path__ = [str(libraries / folder / package)]
        module.__version__, module.logger = versions[folder], logging.getLogger(package)  # type: ignore[attr-defined]
        sys.modules[package] = module
    return versions


def randomise(module: nn.Module) -> None:
    """Give every weight and bias a value that no start has; thresholds become positive."""
    g = torch.Generator().manual_seed(0)
    for name, value in module.named_parameters():
        drawn = torch.randn(value.shape, generator=g) * 0.5
        value.data = drawn.abs() * 0.5 if "threshold" in name else drawn


def inputs() -> torch.Tensor:
    """Feature vectors (cells, d)."""
    return torch.randn(CELLS, D, generator=torch.Generator().manual_seed(1)) * 1.5 + 0.3


def expect(folder: Path, encode: Any, decode: Any) -> None:
    """Write what a library makes of the inputs."""
    with torch.no_grad():
        codes = encode(inputs())
        found = {"x": inputs(), "codes": codes, "reconstructions": decode(codes)}
    np.savez(folder / "expected.npz", **{name: value.numpy() for name, value in found.items()})


def dictionary_learning(out: Path) -> None:
    """Files of the classes that dictionary_learning reads by the name in `config.json`."""
    from dictionary_learning import dictionary
    from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
    from dictionary_learning.trainers.top_k import AutoEncoderTopK

    for sae in (
        dictionary.AutoEncoder(D, H),
        dictionary.AutoEncoderNew(D, H),
        dictionary.GatedAutoEncoder(D, H),
        dictionary.JumpReluAutoEncoder(D, H),
        AutoEncoderTopK(D, H, K),
        BatchTopKSAE(D, H, K),
        MatryoshkaBatchTopKSAE(D, H, K, [4, 12]),
    ):
        randomise(sae)
        name = type(sae).__name__
        if "BatchTopK" in name:
            sae.threshold.fill_(0.4)
        folder = out / f"dictionary_learning-{name}"
        folder.mkdir(parents=True)
        torch.save(sae.state_dict(), folder / "ae.pt")
        trainer = {"dict_class": name, "activation_dim": D, "dict_size": H, "k": K}
        (folder / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {}}))
        expect(folder, sae.encode, sae.decode)


def saelens(out: Path) -> None:
    """Folders of `save_model`, and of `save_inference_model` where the training has another form."""
    from sae_lens.registry import register_sae_class
    from sae_lens.saes import batchtopk_sae, gated_sae, jumprelu_sae, matryoshka_batchtopk_sae, standard_sae, topk_sae
    from sae_lens.saes.sae import SAE

    register_sae_class("standard", standard_sae.StandardSAE, standard_sae.StandardSAEConfig)
    register_sae_class("topk", topk_sae.TopKSAE, topk_sae.TopKSAEConfig)
    register_sae_class("jumprelu", jumprelu_sae.JumpReLUSAE, jumprelu_sae.JumpReLUSAEConfig)
    register_sae_class("gated", gated_sae.GatedSAE, gated_sae.GatedSAEConfig)
    made: dict[str, Any] = {
        "standard": standard_sae.StandardSAE(standard_sae.StandardSAEConfig(D, H)),
        "layer_norm": standard_sae.StandardSAE(
            standard_sae.StandardSAEConfig(D, H, normalize_activations="layer_norm")
        ),
        "constant_norm": standard_sae.StandardSAE(
            standard_sae.StandardSAEConfig(D, H, normalize_activations="constant_norm_rescale")
        ),
        "topk": topk_sae.TopKSAE(topk_sae.TopKSAEConfig(D, H, k=K)),
        "topk_rescaled": topk_sae.TopKSAE(topk_sae.TopKSAEConfig(D, H, k=K, rescale_acts_by_decoder_norm=True)),
        "jumprelu": jumprelu_sae.JumpReLUSAE(jumprelu_sae.JumpReLUSAEConfig(D, H)),
        "gated": gated_sae.GatedSAE(gated_sae.GatedSAEConfig(D, H)),
        "batchtopk_trained": batchtopk_sae.BatchTopKTrainingSAE(batchtopk_sae.BatchTopKTrainingSAEConfig(D, H, k=K)),
        "matryoshka_trained": matryoshka_batchtopk_sae.MatryoshkaBatchTopKTrainingSAE(
            matryoshka_batchtopk_sae.MatryoshkaBatchTopKTrainingSAEConfig(D, H, k=K, matryoshka_widths=[4, H])
        ),
        "jumprelu_trained": jumprelu_sae.JumpReLUTrainingSAE(jumprelu_sae.JumpReLUTrainingSAEConfig(D, H)),
    }
    for name, sae in made.items():
        randomise(sae)
        folder = out / f"saelens-{name}"
        folder.mkdir(parents=True)
        if name.endswith("trained"):
            if hasattr(sae, "topk_threshold"):
                sae.topk_threshold.fill_(0.7)
            sae.save_inference_model(folder)
        else:
            sae.save_model(folder)
        again = SAE.load_from_disk(folder)
        expect(folder, again.encode, again.decode)


def overcomplete(out: Path) -> None:
    """State dicts of its modules, which say neither the kind nor `k`."""
    from overcomplete.sae import SAE, BatchTopKSAE, JumpSAE, TopKSAE

    made = {"relu": SAE(D, H), "topk": TopKSAE(D, H, top_k=K), "batchtopk": BatchTopKSAE(D, H, top_k=K),
            "jumprelu": JumpSAE(D, H)}  # fmt: skip
    for name, sae in made.items():
        randomise(sae)
        if name == "batchtopk":
            sae.running_threshold = torch.tensor(0.5)
        sae.eval()
        folder = out / f"overcomplete-{name}"
        folder.mkdir(parents=True)
        torch.save(sae.state_dict(), folder / "module.pt")
        expect(folder, lambda x, sae=sae: sae.encode(x)[1], sae.decode)


def sparsify(out: Path) -> None:
    """Folders of `save_to_disk`."""
    from sparsify.config import SparseCoderConfig
    from sparsify.sparse_coder import SparseCoder

    for activation, k in (("topk", K), ("groupmax", 4)):
        sae = SparseCoder(D, SparseCoderConfig(activation=activation, num_latents=H, k=k))
        randomise(sae)
        folder = out / f"sparsify-{activation}"
        sae.save_to_disk(folder)

        def encode(x: torch.Tensor, sae: Any = sae) -> torch.Tensor:
            found = sae.encode(x)
            codes = torch.zeros(len(x), H).scatter_(1, found.top_indices, found.top_acts)
            torch.testing.assert_close(sae.decode(found.top_acts, found.top_indices), codes @ sae.W_dec + sae.b_dec)
            return codes

        expect(folder, encode, lambda z, sae=sae: z @ sae.W_dec + sae.b_dec)


def saev(out: Path) -> None:
    """The file of `dump`."""
    from saev import config
    from saev import nn as network

    sae = network.SparseAutoencoder(config.SparseAutoencoder(d_vit=D, exp_factor=3, n_reinit_samples=0))
    randomise(sae)
    folder = out / "saev-relu"
    folder.mkdir(parents=True)
    network.dump(str(folder / "sae.pt"), sae)
    expect(folder, lambda x: sae(x)[1], sae.decode)


def check_exports() -> dict[str, float]:
    """Read what this package writes with SAELens and dictionary_learning; largest difference of codes by kind."""
    from dictionary_learning import dictionary
    from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
    from dictionary_learning.trainers.top_k import AutoEncoderTopK
    from sae_lens.saes.sae import SAE

    from napari_mammosae.core.models.sae.export import export_sae
    from napari_mammosae.core.training.sae_training import train_sae
    from napari_mammosae.core.training.settings import KINDS, WEIGHTED, SAETrainingSettings

    classes = {"AutoEncoder": dictionary.AutoEncoder, "GatedAutoEncoder": dictionary.GatedAutoEncoder,
               "JumpReluAutoEncoder": dictionary.JumpReluAutoEncoder, "AutoEncoderTopK": AutoEncoderTopK,
               "BatchTopKSAE": BatchTopKSAE, "MatryoshkaBatchTopKSAE": MatryoshkaBatchTopKSAE}  # fmt: skip
    cells = np.random.default_rng(0).normal(0.3, 1.5, (400, D)).astype(np.float32)
    found = {}
    for kind in KINDS:
        k = None if kind in WEIGHTED else K
        sae = train_sae(cells, SAETrainingSettings(kind=kind, k=k, expansion=3, epochs=3, batch=50))
        with tempfile.TemporaryDirectory() as temporary:
            folders = Path(temporary, "saelens"), Path(temporary, "dictionary_learning")
            export_sae(sae, folders[0], "saelens")
            weights, settings = export_sae(sae, folders[1], "dictionary_learning")
            name = json.loads(settings.read_text())["trainer"]["dict_class"]
            options = {} if name in ("AutoEncoder", "GatedAutoEncoder", "JumpReluAutoEncoder") else {"k": K}
            others = {
                "SAELens": SAE.load_from_disk(folders[0]),
                "dictionary_learning": classes[name].from_pretrained(str(weights), **options),
            }
            x = inputs()
            with torch.no_grad():
                codes, back = sae.encode(x), sae(x)
                for tool, other in others.items():
                    z = other.encode(x)
                    of_codes, of_all = (z - codes).abs().max(), (other.decode(z) - back).abs().max()
                    found[f"{kind} in {tool}"] = float(max(of_codes / codes.max(), of_all / back.abs().max()))
    return found


def main() -> None:
    """Write all fixtures and check the exports."""
    libraries, out = map(Path, sys.argv[1:])
    versions = stand_in(libraries)
    for make in (dictionary_learning, saelens, overcomplete, sparsify, saev):
        make(out)
    differences = check_exports()
    assert max(differences.values()) <= 2e-6, differences
    note = {"versions": versions | {"torch": torch.__version__}, "exports_differ_by_at_most": differences}
    (out / "MADE_WITH.json").write_text(json.dumps(note, indent=1) + "\n")
    print(json.dumps(note, indent=1))


if __name__ == "__main__":
    main()
