"""In place of a process of its own: the same tasks in this one, for tests that are not about processes."""

import os
import pickle
from threading import RLock

from napari_mammosae.core.base.errors import ProcessEnded
from napari_mammosae.core.base.progress import ignore
from napari_mammosae.core.models.model import MammoSAE
from napari_mammosae.core.runs.making.model_spec import load
from napari_mammosae.process.local import LocalModel
from napari_mammosae.process.tasks import TASKS, Models


class InProcess:
    """A `Child` that does its tasks here; what is sent and returned is pickled all the same."""

    def __init__(self, *, in_background=False, warm=False, ended=None):
        self.ended, self.pid, self.alive, self._why = ended, os.getpid(), True, ""
        self._models, self._lock = Models(), RLock()

    def call(self, task, *args, report=ignore, urgent=True):
        with self._lock:
            if not self.alive:
                raise ProcessEnded(self._why)
            args = pickle.loads(pickle.dumps(args))
            return pickle.loads(pickle.dumps(TASKS[task](self._models, report, *args)))

    def kill(self, reason="The process was ended."):
        self.alive, self._why = False, self._why or reason
        self._models = Models()


def handle_of(model):
    """A handle in this process of a model, its name, or the arguments of `load_model`."""
    return LocalModel(load(model), lent=isinstance(model, MammoSAE))
