"""How far a run is."""

import time
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunProgress:
    """A message to whoever waits for a run.

    Attributes
    ----------
    done, total
        Images finished (failed ones and those of earlier starts included), and all of them.
    failed
        Images that could not be used.
    rate
        Images a second lately; 0 before the first.
    seconds_left
        At this rate; None before the first image.
    """

    done: int
    total: int
    failed: int
    rate: float
    seconds_left: float | None


class Meter:
    """Counts images and tells their rate over the last few dozen, so that neither start-up nor a pause lasts in it."""

    def __init__(self, total: int, done: int = 0, failed: int = 0) -> None:
        self._total, self._done, self._failed = total, done, failed
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic(), done)], maxlen=64)

    def add(self, done: int, failed: int = 0) -> RunProgress:
        """Count images that were finished since, `failed` of them without a result."""
        self._done += done
        self._failed += failed
        self._seen.append((time.monotonic(), self._done))
        return self.now()

    def now(self) -> RunProgress:
        """Return the state."""
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        rate = (last - first) / (end - start) if end > start else 0.0
        left = (self._total - self._done) / rate if rate > 0 else None
        return RunProgress(self._done, self._total, self._failed, rate, left)
