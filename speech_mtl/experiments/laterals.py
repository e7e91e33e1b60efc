"""Which layers of earlier columns a progressive network listens to: a table of a run, measured on dev speech."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from speech_mtl.data.batching import batches, plan_evaluation
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.experiments.evaluate import References
from speech_mtl.files import json_text, write_text
from speech_mtl.models.progressive import ProgressiveEncoder
from speech_mtl.runs import Run
from speech_mtl.scoring.results import LateralRow
from speech_mtl.scoring.tables import read_rows
from speech_mtl.settings import ProgressiveSettings


def write_laterals(run: Run, recognizer: Recognizer, references: Mapping[str, References]) -> None:
    """Measures how much the last column listens to each earlier one at each height; nothing if it listens to none.

    The network is left with the best weights of its run. A share is the root mean square of what a connection adds
    over that of what it is added to, mean over batches of the first language's dev set.
    """
    model, encoder = recognizer.model, recognizer.model.encoder
    if not isinstance(encoder, ProgressiveEncoder) or not encoder.laterals[-1]:
        return
    run.load_best(model)
    language, examples = next((language, own.examples) for language, own in references.items())
    data, measured = run.recipe().data, []
    plan = plan_evaluation(0, examples.num_samples / recognizer.sample_rate_hz, data.batch_s)
    for batch in batches(plan, {0: examples}, data.num_threads):
        features, num_frames = model.features(batch.waveforms, batch.num_samples)
        measured.append(encoder.lateral_shares(features, num_frames))
    into = [*(f"block {i + 1}" for i in range(encoder.height)), "output"]
    rows: list[LateralRow] = [
        {
            "language": language,
            "into": name,
            "column": j,
            "column_languages": list(encoder.languages[j]),
            "share": round(float(np.mean([shares[i][j] for shares in measured])), 4),
        }
        for i, name in enumerate(into)
        for j in encoder.laterals[-1][i].sources
    ]
    write_text(laterals_path(run), json_text(rows))


def lacks_laterals(run: Run) -> bool:
    """Whether a finished run was stopped before `write_laterals`, though it has something to measure."""
    encoder = run.recipe().encoder
    listens = isinstance(encoder, ProgressiveSettings) and bool(encoder.heard()[-1])
    return listens and not laterals_path(run).is_file()


def laterals_path(run: Run) -> Path:
    """Where `write_laterals` writes."""
    return run.path / "laterals.json"


def saved_laterals(run: Run) -> list[LateralRow]:
    """What `write_laterals` wrote; nothing for a run that is not progressive.

    Raises:
        InputError: The file is damaged.
    """
    path = laterals_path(run)
    return read_rows(path, LateralRow) if path.is_file() else []
