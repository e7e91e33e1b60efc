"""Targets: what is predicted of an utterance. One file a kind; `target.Target` says what each has.

`Ctc` is of transcripts, all others of labels. To add one of those, write a subclass of `LabelTarget`, enter it in
`TARGETS`, and give it a settings class of the same `kind` in `settings`. `tests/targets/test_every_target.py` finds it
by itself.
"""

from speech_mtl.targets.classes import Classes
from speech_mtl.targets.frame_tags import FrameTags
from speech_mtl.targets.number import Number
from speech_mtl.targets.tags import Tags
from speech_mtl.targets.target import LabelTarget

TARGETS: dict[str, type[LabelTarget]] = {kind.kind: kind for kind in (Classes, Number, Tags, FrameTags)}
"""Every kind of target that has labels, by the `kind` that recipes name it with."""
