"""The model of a run, for commands that need it again."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.models.model import MammoSAE
    from ..core.runs.run import Run


def model_of_run(run: "Run", model: str | None) -> "MammoSAE":
    """Load the model of a run: the one named, else the one it says it was made with."""
    from ..core.base.errors import MammoSAEError, ModelError
    from ..core.models.model import load_model

    name = str(run.info["model"])
    try:
        return load_model(model or name, device="cpu")
    except MammoSAEError as error:
        if model is not None:
            raise
        raise ModelError(f"{run.path.name} was made with {name}, which needs --model here: {error}") from error
