"""What can go wrong, as types a caller can tell apart.

Every message is one or two sentences for the person at the screen: the file, what was found, what was expected, what
to do. The viewer shows it in the dock, the command line prints it as its last line and exits with status 1.
"""


class MammoSAEError(Exception):
    """Base of every error this package raises on purpose."""


class ImageError(MammoSAEError):
    """A file is not a mammogram this package can read or use."""


class FindingsError(MammoSAEError):
    """A table of boxes or labels lacks columns, holds impossible values, or names unknown images."""


class CheckpointError(MammoSAEError):
    """A weights file is not what it should be: another architecture, other shapes, missing or unknown keys."""


class UnsafeCheckpointError(CheckpointError):
    """A pickle would import something outside the short list of harmless types; nothing of it was run."""


class ModelError(MammoSAEError):
    """A model cannot do what was asked: no SAE loaded, sizes that do not fit, an unknown name or device."""


class FeaturesForgotten(ModelError):
    """A model does not keep, or no longer keeps, what an edit of an image starts from; compute its latents again."""


class ProcessEnded(ModelError):
    """The process that a model or a run was in is gone; the next request starts another one."""


class DownloadError(MammoSAEError):
    """A published file could not be fetched, or is not the file that was published."""


class RunError(MammoSAEError):
    """A run folder is missing, incomplete, made with other settings, or cannot be written."""


class SettingsError(MammoSAEError):
    """A threshold, score, mode, or selection that has no meaning."""


class VerdictError(MammoSAEError):
    """A verdict file cannot be opened, merged, or written."""


class MissingPackageError(MammoSAEError):
    """Something needs an optional package that is not installed; the message says how to install it."""


class ServerError(MammoSAEError):
    """A server that names latents cannot be reached, refuses a request, or does not answer it."""


class ConsentNeeded(ServerError):
    """Images would leave this machine, and nobody allowed it.

    Attributes
    ----------
    host
        Where they would go; what has to be allowed.
    """

    def __init__(self, message: str, host: str) -> None:
        super().__init__(message)
        self.host = host


class WriteError(MammoSAEError):
    """A file was not written: the disk is full, the place is protected, or what is there is not ours to replace."""


class Cancelled(MammoSAEError):
    """Work was stopped because the user asked for it."""
