"""The rows of a batch that one of several processes reads; batches as a whole are in `test_examples`."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from tiny_speech import LIMITS, TOKENIZER, everything, frames_of, loaded, opened

from speech_mtl.data.audio import change_speed, num_samples_at
from speech_mtl.data.collation import batches, collate
from speech_mtl.data.examples import Examples, Reading
from speech_mtl.data.index import open_manifest
from speech_mtl.data.manifest import read_manifest, write_manifest
from speech_mtl.data.reading import ReadExamples, ReadWaveforms
from speech_mtl.data.sampling import SampledExample
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.targets.ctc import Ctc

TEXTS = [("ab", 0.5), ("c", 0.25), ("dcba", 1.0), ("a", 0.75), ("bd", 0.6)]
SAMPLED = [
    SampledExample(0, i, speed, snr_db, seed=i)
    for i, (speed, snr_db) in enumerate([(1.0, None), (0.9, 10.0), (1.1, None), (0.95, None), (1.0, 20.0)])
]


@pytest.mark.parametrize("own", [range(2), range(2, 4), range(4, 5), range(5, 5)])
def test_each_process_reads_its_rows_and_knows_the_lengths_of_all(tmp_path, own: range, monkeypatch):
    examples = loaded(*opened(tmp_path, TEXTS))
    whole, read, sizes = collate(SAMPLED, {0: examples}), [], []
    read_example = Examples.read
    monkeypatch.setattr(Examples, "read", lambda self, example: read.append(example) or read_example(self, example))
    part = collate(SAMPLED, {0: examples}, own=lambda num_rows, size: sizes.append((num_rows, size)) or own)
    assert read == list(own)
    assert sizes == [whole.waveforms.shape]
    assert part.waveforms.shape == whole.waveforms.shape
    np.testing.assert_array_equal(part.num_samples, whole.num_samples)
    np.testing.assert_array_equal(part.language_ids, whole.language_ids)
    tokens, whole_tokens = part.targets[TRANSCRIPT], whole.targets[TRANSCRIPT]
    for row in range(len(SAMPLED)):
        size = whole_tokens.sizes[row] if row in own else 0
        assert tokens.sizes[row] == size
        np.testing.assert_array_equal(tokens.ids[row, :size], whole_tokens.ids[row, :size])
        np.testing.assert_array_equal(part.waveforms[row], whole.waveforms[row] if row in own else 0)


def test_batches_are_made_of_the_own_rows(tmp_path):
    examples = loaded(*opened(tmp_path, TEXTS))
    (batch,) = batches([SAMPLED], {0: examples}, 2, own=lambda *_: range(1))
    assert np.flatnonzero(batch.waveforms.any(axis=1)).tolist() == [0]


def test_length_at_a_speed_is_known_before():
    generator = np.random.default_rng(0)
    for speed in (0.8, 0.9, 0.95, 1.05, 1.1, 1.3333):
        for size in generator.integers(100, 20_000, 40).tolist():
            assert len(change_speed(np.zeros(size, "float32"), speed)) == num_samples_at(size, speed)


def test_audio_that_is_read_is_fitted_to_its_manifest(tmp_path, caplog: pytest.LogCaptureFixture):
    """In one process as in several, which know only that length of other rows; long cuts are named once."""
    manifest, store = opened(tmp_path, TEXTS)
    utterances = [
        replace(utterance, duration_s=utterance.duration_s * factor)
        for utterance, factor in zip(read_manifest(manifest.path), [1.0, 0.95, 1.05, 0.72, 1.4], strict=True)
    ]
    write_manifest(manifest.path, utterances)
    manifest = open_manifest(manifest.path, tmp_path / "cache")
    waveforms = ReadWaveforms(manifest, LIMITS)
    reading = Reading("en", [Ctc(TRANSCRIPT, {"en": TOKENIZER})], frames_of)
    examples = ReadExamples(waveforms, everything(waveforms), reading)
    sampled = [SampledExample(0, i) for i in range(5)]
    with caplog.at_level(logging.WARNING):
        batch, again = (collate(sampled, {0: examples}, own=own) for own in (None, lambda *_: range(5)))
    assert batch.num_samples.tolist() == [round(u.duration_s * 16_000) for u in utterances]
    np.testing.assert_array_equal(again.waveforms, batch.waveforms)
    np.testing.assert_array_equal(again.num_samples, batch.num_samples)
    for row, size in enumerate(np.minimum(batch.num_samples, store.num_samples).tolist()):
        np.testing.assert_array_equal(batch.waveforms[row, :size], store[row][:size])
        assert not batch.waveforms[row, size:].any()
    assert [record.getMessage() for record in caplog.records] == [
        f"{manifest.path}:4: 0.21 s beyond its manifest's duration are cut off"
    ]
