"""Multilingual speech recognition: one shared encoder, one output layer per language.

Start with `speech_mtl.datatypes` (what flows through the package) and then follow the flow of data: `data`, `models`,
`training`, `decoding`, `scoring`, `run` (one run), `study` (many). `speech_mtl.cli` holds the command line.
"""

__version__ = "0.1.0"
