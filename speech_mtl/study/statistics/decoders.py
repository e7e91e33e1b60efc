"""Several decoders of one comparison: arms are compared within a decoder, and decoders by the same trained models."""

from collections.abc import Sequence
from dataclasses import replace

from speech_mtl.study.statistics.forgetting import what_was_forgotten
from speech_mtl.study.statistics.hypotheses import Model, TestSet, before
from speech_mtl.study.statistics.rows import ResultRow
from speech_mtl.study.statistics.summary import DecoderGain, Estimate


def decoders_of(test_sets: Sequence[TestSet]) -> list[str]:
    """The names of the decoders, that of the runs' own settings first; one that is empty where there is one only."""
    return list(dict.fromkeys(model.decoder for test_set in test_sets for model in test_set.hypotheses)) or [""]


def rows_of(decoder: str, rows: Sequence[ResultRow]) -> list[ResultRow]:
    """The rows of a decoder."""
    return [row for row in rows if row.get("decoder", "") == decoder]


def test_sets_of(decoder: str, test_sets: Sequence[TestSet]) -> list[TestSet]:
    """The test sets with the hypotheses of a decoder, whose models name none."""

    def own(by_model: dict[Model, list]) -> dict[Model, list]:
        return {model._replace(decoder=""): found for model, found in by_model.items() if model.decoder == decoder}

    found = []
    for test_set in test_sets:
        if hypotheses := own(test_set.hypotheses):
            errors = {task: kept for task, by_model in test_set.label_errors.items() if (kept := own(by_model))}
            found.append(replace(test_set, hypotheses=hypotheses, label_errors=errors))
    return found


def decoder_gains(test_sets: Sequence[TestSet], num_replications: int) -> list[DecoderGain]:
    """By how much each decoder lowers the errors of the first one, by arm and budget.

    The same models are decoded twice, so that they are pairs as before and after a language was learnt; the interval is
    that of `forgetting`.
    """
    first, *others = decoders_of(test_sets)
    by_first = test_sets_of(first, test_sets)
    found = []
    for decoder in others:
        pairs = [_paired(former, later) for former in by_first for later in test_sets_of(decoder, test_sets)]
        for one in what_was_forgotten([pair for pair in pairs if pair], num_replications):
            gain = Estimate(-one.growth.value, -one.growth.high, -one.growth.low)
            which = one.language, one.arm, one.budget_s, one.seeds
            found.append(DecoderGain(*which, decoder, first, one.before, one.after, gain))
    return found


def _paired(former: TestSet, later: TestSet) -> TestSet | None:
    """The hypotheses of one decoder, and as `before` these, those of the other; None for other languages."""
    if former.language != later.language:
        return None
    old = {before(model): texts for model, texts in former.hypotheses.items()}
    return replace(later, hypotheses=old | later.hypotheses, label_errors={})
