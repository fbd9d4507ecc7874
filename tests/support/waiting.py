"""Whether something is still to come; superqt does not say so in public."""

from superqt.utils._throttler import GenericSignalThrottler as Delayed

__all__ = ["Delayed", "is_due"]


def is_due(delayed: Delayed) -> bool:
    """Whether a call of a debounced or throttled function waits for its time."""
    return delayed._hasPendingEmission
