"""Corpora on disk to manifests: one short file a corpus, each run as `python -m data_scripts.NAME`.

`corpus.py` and `command_line.py` hold what they share; a corpus script only knows where its corpus keeps audio and
text.
"""
