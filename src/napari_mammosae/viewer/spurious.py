"""Which latents people called spurious, for the model that is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.errors import VerdictError

if TYPE_CHECKING:
    from .session import Session


def spurious_latents(session: Session) -> tuple[int, ...]:
    """Read the latents that anyone calls spurious from the verdict file of the run, else of the user.

    Raises
    ------
    VerdictError
        If the file is there but cannot be read.
    """
    from ..core.verdicts import Subject, VerdictStore, default_path

    model = session.model
    if model is None:
        return ()
    path = default_path(session.run.path if session.run is not None else None)
    if not path.is_file():
        return ()
    with VerdictStore(path, create=False) as store:
        found = store.latents("spurious", Subject(model.model_sha256, model.sae_sha256))
    if found and found[-1] >= model.n_latents:
        raise VerdictError(f"{path.name} judges latent {found[-1]}; the model has {model.n_latents:,}.")
    return tuple(found)
