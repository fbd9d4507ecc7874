"""A viewer's session as plain values, to be written."""

from __future__ import annotations

import base64
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..app.order import BY_IMAGE
from ..canvas.window import is_inverted
from ..image.tasks import ModelChoice
from .drawn import lines_to_json, region_to_json
from .record import entry_of
from .window import docks_in, window_of

if TYPE_CHECKING:
    from napari.layers import Layer

    from ...core.models.facts import ModelFacts
    from ..workspace import Workspace

ROLES = ("mammogram", "latents", "truth", "found", "logit map", "heatmap")


def take(work: Workspace, base: Path) -> dict[str, Any]:
    """Return all that a session file holds; names of files are relative to `base`."""
    session = work.session
    return {
        "saved": datetime.now().astimezone().isoformat(timespec="seconds"),
        "image": _image(work, base),
        "run": _run(work, base),
        "boxes": entry_of(path, base) if (path := _boxes(work)) is not None else None,
        "drawn": session.image is not None and session.image.full_name in work.editor.unsaved,
        "model": _model(work, base),
        "open_layers": _open_layers(work, base),
        "prompts": _prompts(work),
        "heads": {"hidden": list(session.hidden_heads)},
        "order": _order(work),
        "latent": session.current,
        "pins": list(session.pins),
        "blind": session.blind,
        "colours": {
            "contrast": session.contrast,
            "limits": list(session.manual_limits),
            "colormap": work.scene.colormap,
        },
        "localisation": _localisation(work),
        "edit": _edit(work),
        "display": _display(work),
        "layers": {
            role: _look_of(work, layer)
            for role in ROLES
            if (layer := work.scene.owned.find(role)) is not None  # type: ignore[arg-type]
        },
        "pin_layers": {
            str(work.scene.owned.facts(layer)["latent"]): _look_of(work, layer)
            for layer in work.scene.owned.with_role("pin")
        },
        "side_by_side": work.side_by_side.shown,
        "lines": lines_to_json(work.actions.ruler.lines, base),
        "region": region_to_json(work.query.region),
        "grid": _grid(work),
        "exam": {"shown": work.exam.shown is not None, "with_prior": work.exam.with_prior},
        "window": _window(work),
    }


def _image(work: Workspace, base: Path) -> dict[str, str] | None:
    image = work.session.image
    if image is None:
        return None
    return {"image_id": image.image_id} | (entry_of(image.path, base) if image.path is not None else {})


def _run(work: Workspace, base: Path) -> dict[str, Any] | None:
    run, row = work.session.run, work.browser.row
    if run is None:
        return None
    root = work.browser.files_of(run).root
    return entry_of(run.path, base) | {
        "images": entry_of(root, base)["path"] if root is not None else None,
        "image": str(run.images["image_id"].iloc[row]) if row is not None else None,
        "positive": dict(work.opener.positive),
        "label": work.ranking.choice.label,
        "category": work.ranking.choice.category,
        "score": work.ranking.choice.score,
        "protocol": work.ranking.choice.protocol,
    }


def _boxes(work: Workspace) -> Path | None:
    findings = work.session.findings
    return findings.source if findings is not None else None


def _look_of(work: Workspace, layer: Layer) -> dict[str, Any]:
    visible = bool(layer.visible) or work.exam.hides(layer) or work.side_by_side.hides(layer)
    return {"visible": visible, "opacity": float(layer.opacity)}


def _model(work: Workspace, base: Path) -> dict[str, Any]:
    model, maps = work.session.model, work.session.maps
    return _choice(work.images.choice, base) | {
        "loaded": model is not None,
        "computed": maps is not None and bool(maps.key),
        "maps": maps is not None,
        **_facts(model, base),
    }


def _facts(model: ModelFacts | None, base: Path) -> dict[str, Any]:
    """Describe a loaded model: its hashes, the names of its own heads, and where those come from that were added."""
    own: list[str] = []
    added: list[dict[str, str]] = []
    for head in model.heads if model is not None else ():
        if head.prompt is not None:
            added.append({"prompt": head.prompt.typed})
        elif head.file is not None:
            added.append({"name": head.name, **entry_of(head.file, base)})
        else:
            own.append(head.name)
    hashes = {name: getattr(model, name, None) for name in ("model_sha256", "sae_sha256")}
    return {**hashes, "heads": own, "added": added}


def _open_layers(work: Workspace, base: Path) -> dict[str, Any] | None:
    """Describe the layers that are open beside each other, if there are several."""
    known, chosen = work.layers, work.images.loaded_choice
    if not known.open:
        return None
    choices = [one.loaded[0] if one.loaded is not None else None for one in known.open]
    choices[known.chosen] = chosen
    return {
        "chosen": known.chosen,
        "layers": [
            {
                "model": _choice(choice or ModelChoice(None), base) | _facts(one.handle.facts, base),
                "latent": one.current,
                "pins": list(one.pins),
                "look": _look_of(work, one.stack) if one.stack is not None else None,
            }
            for one, choice in zip(known.open, choices, strict=True)
        ],
    }


def _choice(choice: ModelChoice, base: Path) -> dict[str, Any]:
    named = Path(choice.name) if choice.name and choice.name.endswith(".toml") else None
    return {
        "name": choice.name if named is None else None,
        "described": entry_of(named, base) if named is not None else None,
        "files": {
            key: entry_of(path, base)
            for key in ("backbone", "classifier", "sae")
            if (path := getattr(choice, key)) is not None
        },
        "classes": list(choice.classes),
        "device": choice.device,
        "precision": choice.precision,
        "engine": choice.engine,
        "layer": choice.layer,
    }


def _prompts(work: Workspace) -> dict[str, Any]:
    prompts = work.images.prompts
    shown = prompts.head.prompt if prompts.head is not None else None
    return {"shown": None if shown is None else shown.typed, "approximate": prompts.approximate}


def _order(work: Workspace) -> dict[str, Any] | None:
    order, table = work.session.order, work.latents
    if order is None:
        return None
    return {
        "name": order.name,
        "follows_table": table.follows,
        "column": table.table.sort_key,
        "rising": table.table.rising,
        "filter": asdict(table.filter),
        "latents": None if table.follows or order.name == BY_IMAGE else order.latents.tolist(),
        "scores": None if table.follows or order.name == BY_IMAGE else [_number(one) for one in order.scores.tolist()],
    }


def _number(value: float) -> float | None:
    return value if value == value else None


def _localisation(work: Workspace) -> dict[str, Any] | None:
    if not work.localises:  # to begin with it would find boxes
        return None
    one = work.localizer
    return {
        "choice": asdict(one.choice), "together": asdict(one.together), "drawn": one.drawn, "open": bool(one.current)
    }  # fmt: skip


def _edit(work: Workspace) -> dict[str, Any]:
    one = work.intervention
    return {"state": asdict(one.state), "map": one.map_kind}


def _display(work: Workspace) -> dict[str, Any] | None:
    layer = work.scene.image_layer
    if layer is None:
        return None
    return {
        "preset": work.actions.window,
        "limits": [float(one) for one in layer.contrast_limits],
        "gamma": float(layer.gamma),
        "inverted": is_inverted(layer),
    }


def _grid(work: Workspace) -> dict[str, Any] | None:
    """Describe napari's grid as the user set it; an exam and *Side by side* set their own."""
    viewer = work.scene.viewer
    if viewer is None or work.exam.shown is not None or work.side_by_side.shown or not viewer.canvas.grid.enabled:
        return None
    return {"shape": list(viewer.canvas.grid.shape)}


def _window(work: Workspace) -> dict[str, Any]:
    viewer = work.scene.viewer
    if viewer is None:
        return {}
    camera = viewer.scene.camera
    taken: dict[str, Any] = {"center": [float(one) for one in camera.center], "zoom": float(camera.zoom)}
    if (window := window_of(viewer)) is not None:
        taken |= {
            "size": [window.width(), window.height()],
            "docks": docks_in(window),
            "layout": base64.b64encode(bytes(window.saveState())).decode(),
            "theme": getattr(viewer, "theme", None),
        }
    return taken
