"""Whether something is still to come; superqt does not say so in public."""

from superqt.utils._throttler import GenericSignalThrottler as Delayed

from napari_mammosae.viewer.app import turns

__all__ = ["Delayed", "is_due"]


def is_due(delayed: Delayed) -> bool:
    """Whether a call of a debounced or throttled function waits for its time, or any call for its turn."""
    return delayed._hasPendingEmission or turns.any_left()
