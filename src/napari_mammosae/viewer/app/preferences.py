"""The user's preferences, as declared in the manifest and edited in napari's Preferences dialog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PLUGIN = "napari-mammosae"


@dataclass(frozen=True, slots=True)
class Preferences:
    """Defaults for new viewers; see `configurations` in the manifest for the choices."""

    model: str = "demo"
    device: str = "auto"
    precision: str = "float32"
    engine: str = "auto"
    contrast: str = "latent"
    colormap: str = "ember"
    annotator: str = ""


def preferences() -> Preferences:
    """Read the preferences; the defaults where the plugin is not registered with napari (a plain notebook)."""
    stored = _stored()
    if stored is None:
        return Preferences()
    return Preferences(
        model=stored.model.name,
        device=stored.model.device,
        precision=stored.model.precision,
        engine=stored.model.engine,
        contrast=stored.display.contrast,
        colormap=stored.display.colormap,
        annotator=stored.verdicts.annotator,
    )


def entries() -> dict[str, tuple[str, Any, str]]:
    """Return what the manifest declares: name of each preference -> category, property with its words, value."""
    from npe2 import PluginManager

    stored = _stored()
    if stored is None:
        return {}
    declared = PluginManager.instance().get_manifest(PLUGIN).contributions.configurations or {}
    return {
        name: (category, words, getattr(getattr(stored, category), name))
        for category, one in declared.items()
        for name, words in one.properties.items()
    }


def remember(category: str, **values: str) -> None:
    """Save preferences; napari writes its file whenever a value changes."""
    stored = _stored()
    if stored is not None:
        for key, value in values.items():
            setattr(getattr(stored, category), key, value)


def _stored() -> Any:
    from napari.settings import get_plugin_settings

    try:
        return get_plugin_settings(PLUGIN)
    except KeyError:
        return None
