"""Tasks: things to predict from an utterance besides its transcript. One file a kind; `task.Task` says what each has.

To add a kind, write a subclass of `Task`, enter it in `TASKS`, and give it a settings class of the same `kind` in
`settings`. `tests/tasks/test_every_task.py` finds it by itself.
"""

from speech_mtl.tasks.classes import Classes
from speech_mtl.tasks.frame_tags import FrameTags
from speech_mtl.tasks.number import Number
from speech_mtl.tasks.tags import Tags
from speech_mtl.tasks.task import Task

TASKS: dict[str, type[Task]] = {kind.kind: kind for kind in (Classes, Number, Tags, FrameTags)}
"""Every kind of task, by the `kind` that recipes name it with."""
