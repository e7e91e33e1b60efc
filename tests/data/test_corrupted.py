from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speech_mtl.data.collation import batches, collate
from speech_mtl.data.corrupted import GROUP_SIZE, with_noise, with_shuffled_transcripts
from speech_mtl.data.examples import Column, Examples, Reading, load_examples
from speech_mtl.data.index import Manifest, open_manifest
from speech_mtl.data.manifest import write_manifest
from speech_mtl.data.sampling import SampledExample, TrainingPlan
from speech_mtl.data.store import AudioLimits, open_store
from speech_mtl.data.tokenizer import CharacterTokenizer
from speech_mtl.datatypes import TRANSCRIPT, Utterance
from speech_mtl.errors import InputError
from speech_mtl.targets.ctc import Ctc

TOKENIZER = CharacterTokenizer.from_texts(["abcdefgh"], "en")


def frames_of(num_samples: int) -> int:
    """An encoder of 25 frames a second."""
    return num_samples // 640


CTC = Ctc(TRANSCRIPT, {"en": TOKENIZER})
READING = Reading("en", [CTC], frames_of)


def loaded(tmp_path: Path, utterances: list[tuple[str, float]]) -> tuple[Manifest, Examples]:
    """A manifest of (text, seconds) whose audio is noise of various levels, and its examples."""
    path, records = tmp_path / "en" / "train.jsonl", []
    for i, (text, seconds) in enumerate(utterances):
        audio = tmp_path / "audio" / f"{i}.wav"
        audio.parent.mkdir(exist_ok=True)
        speech = np.random.default_rng([1, i]).uniform(-1, 1, round(seconds * 16_000))
        soundfile.write(audio, speech * (0.01 + 0.9 * (i % 3) / 3), 16_000)
        records.append(Utterance(f"u{i}", audio, "en", text, seconds))
    write_manifest(path, records)
    manifest = open_manifest(path, tmp_path / "cache")
    store = open_store(tmp_path / "cache", "en-train", manifest, AudioLimits(16_000, 0.03, 30.0))
    return manifest, load_examples(manifest, store, np.flatnonzero(store.num_samples), READING)


def tokens_of(examples: Examples, number: int) -> np.ndarray:
    return examples.targets[TRANSCRIPT][number]


def texts_of(examples: Examples) -> list[str]:
    return [TOKENIZER.decode(tokens_of(examples, i).tolist()) for i in range(len(examples))]


# --- noise


@pytest.fixture
def spoken(tmp_path) -> Examples:
    return loaded(tmp_path, [("ab", 0.7), ("c", 0.25), ("dcba", 1.0), ("a", 0.5)])[1]


def test_noise_has_the_length_and_level_of_speech_and_nothing_else_of_it(spoken):
    noise = with_noise(spoken)
    for i in range(len(spoken)):
        speech, noisy = spoken.store[i], noise.store[i]
        assert (noisy.dtype, noisy.shape) == (speech.dtype, speech.shape)
        np.testing.assert_allclose(np.sqrt(np.mean(noisy**2)), np.sqrt(np.mean(speech**2)), rtol=1e-4)
        for one in (noisy, abs(noisy) - abs(noisy).mean()):
            assert abs(np.corrcoef(one, speech)[0, 1]) < 4 / np.sqrt(len(speech))
    assert abs(np.corrcoef(noise.store[0][:4000], noise.store[1])[0, 1]) < 0.06, "and each has its own"


def test_noise_is_white(spoken):
    spectrum = abs(np.fft.rfft(with_noise(spoken).store[2])) ** 2
    bands = [band.mean() for band in np.array_split(spectrum, 8)]
    assert max(bands) < 1.2 * min(bands)


def test_noise_keeps_all_but_the_sound(spoken):
    noise = with_noise(spoken)
    assert texts_of(noise) == texts_of(spoken)
    assert noise.positions.tolist() == spoken.positions.tolist()
    assert noise.num_samples.tolist() == spoken.num_samples.tolist()
    assert type(spoken.store) is not type(noise.store), "the original stays"


def test_noise_does_not_depend_on_epoch_or_threads(spoken):
    examples = {0: with_noise(spoken)}
    plan = TrainingPlan({0: spoken.num_samples / 16_000}, 2.0, 0.5, 0, pool_batches=2)
    noisy: dict[int, np.ndarray] = {}
    for threads in (1, 4):
        for sampled, batch in zip(plan.batches(), islice(batches(plan.batches(), examples, threads), 12), strict=False):
            for example, row, size in zip(sampled, batch.waveforms, batch.num_samples, strict=True):
                np.testing.assert_array_equal(noisy.setdefault(example.example, row[:size]), row[:size])
    assert len(noisy) == 4


def test_noise_goes_by_the_position_in_the_manifest(spoken):
    """So that a larger budget holds the noise of a smaller one."""
    transcripts = spoken.targets[TRANSCRIPT].taken(np.array([2, 3]))
    last = replace(spoken, positions=spoken.positions[2:], targets={TRANSCRIPT: transcripts})
    one, other = (collate([SampledExample(0, i)], {0: with_noise(e)}) for i, e in ((2, spoken), (0, last)))
    for array, again in zip(
        [*one[:3], *one.targets[TRANSCRIPT]], [*other[:3], *other.targets[TRANSCRIPT]], strict=True
    ):
        np.testing.assert_array_equal(array, again)


# --- shuffled transcripts


@pytest.fixture
def many(tmp_path) -> tuple[Manifest, Examples]:
    """100 utterances of 0.2 to 1 s, half of them with hardly more frames than their transcript needs."""
    generator = np.random.default_rng(0)
    utterances = []
    for i in range(100):
        text = "".join(generator.choice(list("abcdefgh"), size=generator.integers(2, 12)))
        least_s = 0.04 * CTC.num_frames_needed(np.array(TOKENIZER.encode(text)))
        utterances.append((text, max(0.2, least_s + 0.01 if i % 2 else generator.uniform(least_s, 1.0))))
    return loaded(tmp_path, utterances)


def test_shuffling_moves_every_transcript_and_loses_none(many):
    manifest, examples = many
    shuffled = with_shuffled_transcripts(manifest, examples, READING, 0)
    assert shuffled.skipped == []
    assert shuffled.positions.tolist() == examples.positions.tolist()
    assert Counter(texts_of(shuffled)) == Counter(texts_of(examples))
    assert all(new != old for new, old in zip(texts_of(shuffled), texts_of(examples), strict=True))
    for i, size in enumerate(shuffled.num_samples):
        assert CTC.num_frames_needed(tokens_of(shuffled, i)) <= frames_of(size)
    assert shuffled.store is examples.store


def test_transcripts_move_among_utterances_of_similar_duration(many):
    manifest, examples = many
    own = np.arange(len(examples), dtype=np.int32)  # each transcript is one token of its own
    examples.targets["again"] = examples.targets[TRANSCRIPT] = Column(
        CTC, own, np.arange(len(examples) + 1), np.zeros, len(own)
    )
    shuffled = with_shuffled_transcripts(manifest, examples, READING, 0)
    rank = np.argsort(np.argsort(examples.num_samples, kind="stable"))
    found, again = (np.concatenate([one[i] for i in own.tolist()]) for one in shuffled.targets.values())
    np.testing.assert_array_equal(again, found, "all that is read of a transcript is exchanged with it")
    np.testing.assert_array_equal(rank[found] // GROUP_SIZE, rank // GROUP_SIZE)
    assert abs(np.corrcoef(rank[found] % GROUP_SIZE, rank % GROUP_SIZE)[0, 1]) < 0.35


def test_the_seed_decides_who_gets_what(many):
    manifest, examples = many
    one, again, other = (texts_of(with_shuffled_transcripts(manifest, examples, READING, seed)) for seed in (1, 1, 2))
    assert one == again
    assert sum(text != different for text, different in zip(one, other, strict=True)) > 80


def test_everybody_is_as_likely_to_give(tmp_path):
    manifest, examples = loaded(tmp_path, [(text, 0.5) for text in "abcde"])
    counts = np.zeros((5, 5))
    for seed in range(400):
        shuffled = with_shuffled_transcripts(manifest, examples, READING, seed)
        counts[np.arange(5), ["abcde".index(text) for text in texts_of(shuffled)]] += 1
    assert not counts.diagonal().any()
    np.testing.assert_allclose(counts[~np.eye(5, dtype=bool)], 100, atol=45)


def test_fitting_is_judged_at_the_highest_speed(tmp_path):
    """`abcdefgh` fits both audios, but only the longer one when they are played twice as fast."""
    manifest, examples = loaded(tmp_path, [("abcdefgh", 0.64), ("ab", 0.33), ("cd", 0.64), ("ef", 0.65)])
    for seed in range(20):
        shuffled = with_shuffled_transcripts(manifest, examples, replace(READING, min_speed_samples=0.5), seed)
        assert texts_of(shuffled)[1] != "abcdefgh"
    assert "abcdefgh" in {
        texts_of(with_shuffled_transcripts(manifest, examples, READING, seed))[3] for seed in range(20)
    }


def test_all_that_is_made_of_a_transcript_has_to_fit(tmp_path):
    """Each transcript fits each audio, but the phones of the first one only the two that are long enough for them."""
    manifest, examples = loaded(tmp_path, [("ab", 0.65), ("cd", 0.33), ("ef", 0.33), ("gh", 0.65)])
    phones = [np.arange(1, 13), np.arange(2, 5), np.arange(3, 6), np.arange(4, 7)]
    examples.targets["phones"] = Column.of(Ctc("phones", {"en": TOKENIZER}), phones, np.zeros)
    for seed in range(20):
        shuffled = with_shuffled_transcripts(manifest, examples, READING, seed)
        assert texts_of(shuffled)[3] == "ab"
        assert shuffled.targets["phones"][3].tolist() == phones[0].tolist()


def test_who_can_take_no_other_transcript_is_left_out_and_named(tmp_path):
    """Only the first audio is long enough for the first transcript, which therefore nobody can take."""
    manifest, examples = loaded(tmp_path, [("abcdefgh", 0.33), ("ab", 0.2), ("cd", 0.2), ("ef", 0.2)])
    shuffled = with_shuffled_transcripts(manifest, examples, READING, 0)
    assert [skip.reason for skip in shuffled.skipped] == ["no other transcript fits"]
    assert shuffled.skipped[0].source in {f"{manifest}:{i}" for i in range(1, 5)}
    assert sorted(texts_of(shuffled)) == ["ab", "cd", "ef"]
    own = dict(zip(examples.positions.tolist(), texts_of(examples), strict=True))
    assert all(own[position] != text for position, text in zip(shuffled.positions, texts_of(shuffled), strict=True))


def test_equal_transcripts_are_not_exchanged(tmp_path):
    texts = ["a"] * 6 + ["b", "c", "d", "e", "f", "g"]
    manifest, examples = loaded(tmp_path, [(text, 0.5) for text in texts])
    for seed in range(10):
        shuffled = with_shuffled_transcripts(manifest, examples, READING, seed)
        assert all(new != old for new, old in zip(texts_of(shuffled), texts, strict=True))


@pytest.mark.parametrize("texts", [["ab"], ["ab"] * 5, ["ab"] * 5 + ["cd"]])
def test_too_few_different_transcripts_are_refused(texts, tmp_path):
    manifest, examples = loaded(tmp_path, [(text, 0.5) for text in texts])
    with pytest.raises(InputError, match=f"of {len(texts)} utterances cannot be used") as caught:
        with_shuffled_transcripts(manifest, examples, READING, 0)
    assert "no other transcript fits" in caught.value.received
