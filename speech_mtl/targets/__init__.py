"""Targets: predictions about an utterance. One file per kind; `target.Target` is their interface.

`ctc.Ctc` is of transcripts, all others of labels. To add one of those, write a subclass of `target.LabelTarget`, and a
kind of `TaskSettings` that names it. `tests/targets/test_every_target.py` finds it by itself.
"""
