import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from made_up_targets import tokens, transcripts

from speech_mtl.backend.step import StepResult, TrainStep
from speech_mtl.datatypes import Batch
from speech_mtl.errors import InputError
from speech_mtl.run import loop
from speech_mtl.run.loop import Training
from speech_mtl.settings.training import TrainingSettings
from speech_mtl.training.objective import Objective, Observed
from speech_mtl.training.progress import Interval, Progress
from speech_mtl.training.weighting import Equal, Weighting

OBJECTIVE = Objective(("aa", "bb"), (transcripts(),))


def make_batch(number: int = 0) -> Batch:
    """Two utterances, of 2 s and 1 s; the first waveform's first sample is the batch's number."""
    waveforms = np.zeros((2, 32_000), "float32")
    waveforms[0, 0] = number
    return Batch(
        waveforms,
        np.array([32_000, 16_000], "int32"),
        np.array([0, 1], "int32"),
        tokens([[1, 2, 3], [1, 0, 0]], [3, 1]),
    )


class Fake:
    """A training whose step and validation errors are made up, its observer, and the calls in their order."""

    def __init__(
        self,
        errors: list[float],
        losses: dict[int, Any] | None = None,
        weighting: Weighting | None = None,
        **settings: Any,
    ):
        self.calls: list[tuple] = []
        self.errors = iter(errors)
        self.losses = losses or {}
        self.closed = False
        self.ends: list[int] = []
        self.intervals: list[Interval] = []
        given: dict[str, Any] = {
            "num_updates": 6,
            "evaluate_every": 2,
            "patience": 2,
            "cooldown_updates": 0,
            "warmup_updates": 0,
        }
        everything: Any = self  # the speech, the validation and the checkpoints
        self.optimizer = SimpleNamespace(averaged=nullcontext)
        self.model = None
        self.weighting = weighting or Equal(OBJECTIVE)
        self.training = Training(
            settings=TrainingSettings(**given | settings),
            sample_rate_hz=16_000,
            state=everything,
            objective=OBJECTIVE,
            step=TrainStep(self.step),
            rates=self.learning_rates,
            speech=everything,
            validation=self.evaluate,  # pyright: ignore[reportArgumentType]
            checkpoints=everything,
        )

    def run(self, progress: Progress) -> Progress:
        self.training.run(progress, self)  # pyright: ignore[reportArgumentType]
        return progress

    def learning_rates(self, update, end):
        self.ends.append(end)
        return 0.1 * update

    def batches(self, start, end):  # noqa: ARG002
        self.calls.append(("batches", start))
        try:
            while True:
                yield make_batch(start)
                start += 1
        finally:
            self.closed = True

    def sources(self, number: int, end: int, rows: Sequence[int]) -> list[str]:  # noqa: ARG002
        return [f"batch{number}-row{row}" for row in rows]

    def step(self, batch, rate, weights, update):
        assert update == int(batch.waveforms[0, 0])
        self.calls.append(("step", update, rate, weights.tolist()))
        return lambda: self.found(self.losses.get(update, [6.0, 2.0]))

    def found(self, losses: list[float], norm: float = 0.5) -> StepResult:
        """The result of a step with these losses of the two utterances, of 3 tokens and of 1."""
        column = np.array(losses, "float32")[:, None]
        counts = np.array([[3.0], [1.0]], "float32")
        return StepResult(column, counts, float(column.sum() / counts.sum()), norm, np.zeros((0, 0), "float32"))

    def evaluate(self, update, end):
        assert update == self.named("step")[-1][0] + 1
        assert end == self.ends[-1]
        error = next(self.errors)
        self.calls.append(("evaluate", error))
        return error, {"error": error}

    def on_update(self, update, found, rate):
        self.calls.append(("update", update, found.objective, rate, found.norm))

    def on_validation(self, progress, interval, metrics, better):
        self.calls.append(("interval", replace(progress), metrics["error"], better))
        self.intervals.append(interval)

    def on_end(self, progress):
        self.calls.append(("end", progress.update))

    def save_best(self, model, update):  # noqa: ARG002
        self.calls.append(("best", update))

    def save(self, state, progress):  # noqa: ARG002
        self.calls.append(("save", replace(progress)))

    def named(self, name: str) -> list[tuple]:
        return [call[1:] for call in self.calls if call[0] == name]


def test_order_of_calls():
    fake = Fake([0.5, 0.4, 0.3])
    progress = fake.run(Progress())
    assert [call[0] for call in fake.calls] == [
        "batches",
        *["step", "step", "update", "update", "evaluate", "best", "interval", "save"] * 3,
        "end",
    ], "what a step found is read when the next one has begun"
    assert fake.named("step") == [(n, pytest.approx(0.1 * n), [1.0, 1.0]) for n in range(6)]
    assert fake.named("update") == [(n + 1, 2.0, pytest.approx(0.1 * n), 0.5) for n in range(6)], (
        "loss per token: 8 / 4"
    )
    assert [saved.update for saved, *_ in fake.named("interval")] == [2, 4, 6]
    assert [better for *_, better in fake.named("interval")] == [True, True, True]
    assert (progress.update, progress.best_error, progress.best_update, progress.end) == (6, 0.3, 6, None)
    assert fake.closed, "the batches' threads are let go"


def test_validates_at_the_end_even_if_the_interval_is_not_full():
    fake = Fake([0.5, 0.4, 0.3], num_updates=5)
    fake.run(Progress())
    assert [saved.update for saved, *_ in fake.named("interval")] == [2, 4, 5]


def test_early_stopping():
    fake = Fake([0.5, 0.4, 0.4, 0.45, 0.1], num_updates=100)
    progress = fake.run(Progress())
    assert progress.update == 8, "after two validations without improvement; an equal error is none"
    assert progress.end == 8
    assert (progress.best_error, progress.best_update, progress.looks_without_gain) == (0.4, 4, 2)
    assert [better for *_, better in fake.named("interval")] == [True, True, False, False]
    assert fake.named("interval")[-1][0].end == 8, "what is saved last says that training is over"
    assert progress.finished(100)


def test_the_cooldown_begins_when_the_error_no_longer_falls():
    fake = Fake([0.5, 0.6, 0.7, 0.4, 0.3, 0.35, 0.2], num_updates=100, cooldown_updates=7)
    progress = fake.run(Progress())
    assert fake.ends == [100] * 6 + [13] * 7, "two validations without improvement, then seven updates"
    assert [saved.update for saved, *_ in fake.named("interval")] == [2, 4, 6, 8, 10, 12, 13]
    assert (progress.update, progress.end, progress.best_error, progress.best_update) == (13, 13, 0.2, 13)
    assert fake.named("batches") == [(0,), (6,)], "what comes then may be other speech"
    assert progress.with_patience(2).finished(100)
    assert not progress.with_patience(3).finished(100), "with more patience training continues"


def test_a_cooldown_resumes_where_it_was():
    errors = [0.5, 0.6, 0.7, 0.4, 0.3, 0.35]
    whole, rest = (Fake(own, num_updates=100, cooldown_updates=6) for own in (errors, errors[4:]))
    expected = whole.run(Progress())
    saved = whole.named("interval")[3][0]
    assert (saved.update, saved.end) == (8, 12)
    final = rest.run(replace(saved))
    assert (final.update, final.end, final.best_error) == (expected.update, 12, expected.best_error)
    assert rest.named("step") == whole.named("step")[8:]
    assert rest.ends == whole.ends[8:]


@pytest.mark.parametrize(
    ("errors", "ends"), [([0.5, 0.6, 0.7, 0.4, 0.3], [10] * 10), ([0.5, 0.6, 0.7, 0.4, 0.3], [9] * 3)]
)
def test_the_cooldown_is_within_the_number_of_updates(errors, ends):
    fake = Fake(errors, num_updates=10, cooldown_updates=5 if len(ends) == 10 else 3)
    progress = fake.run(Progress())
    assert fake.ends[-len(ends) :] == ends
    assert progress.end == (None if len(ends) == 10 else 9)


def test_the_last_weights_count_if_they_are_selected():
    fake = Fake([0.5, 0.6, 0.7], patience=1, select="last")
    progress = fake.run(Progress())
    assert [better for *_, better in fake.named("interval")] == [True, True, True]
    assert (progress.update, progress.best_error, progress.best_update, progress.end) == (6, 0.7, 6, None)


def test_small_gains_do_not_keep_training_going():
    """Gains are counted from the last one that was large enough; the best weights are kept all the same."""
    errors = [0.5, 0.49, 0.48, 0.44, 0.43, 0.42, 0.41]
    fake = Fake(errors, num_updates=100, min_improvement=0.1, patience=3)
    progress = fake.run(Progress())
    assert (progress.update, progress.best_error, progress.gain_error, progress.end) == (14, 0.41, 0.44, 14)
    assert [better for *_, better in fake.named("interval")] == [True] * 7
    saved = fake.named("interval")[3][0]
    assert (saved.gain_error, saved.looks_without_gain) == (0.44, 0)


def test_with_more_patience_a_worse_error_than_the_best_is_no_gain():
    fake = Fake([0.5, 0.6, 0.6, 0.3, 0.35], num_updates=100, cooldown_updates=4)
    stopped = fake.run(Progress()).with_patience(3)
    assert (stopped.best_error, stopped.gain_error, stopped.looks_without_gain) == (0.3, 0.3, 2)
    assert Fake([0.45], num_updates=100, patience=3).run(replace(stopped)).update == stopped.update + 2


def test_a_gain_starts_patience_anew():
    fake = Fake([0.5, 0.6, 0.4, 0.6, 0.3, 0.7, 0.8], num_updates=100)
    assert fake.run(Progress()).update == 14


def test_resumes_where_it_was():
    whole, first, second = Fake([0.5, 0.6, 0.4]), Fake([0.5], num_updates=2), Fake([0.6, 0.4])
    expected = whole.run(Progress())
    progress = first.run(Progress())
    assert second.run(replace(progress)).update == 6
    assert second.named("batches") == [(2,)]
    assert first.named("step") + second.named("step") == whole.named("step")
    final = second.named("interval")[-1][0]
    assert (final.best_error, final.best_update, final.looks_without_gain) == (
        expected.best_error,
        expected.best_update,
        expected.looks_without_gain,
    )


def test_patience_is_remembered():
    fake = Fake([0.6, 0.7], num_updates=100)
    progress = fake.run(Progress(update=4, best_error=0.5, gain_error=0.5, best_update=2, looks_without_gain=1))
    assert (progress.update, progress.end) == (6, 6)


@pytest.mark.parametrize("progress", [Progress(update=6), Progress(update=2, end=2)])
def test_nothing_left_to_do(progress):
    fake = Fake([])
    fake.run(progress)
    assert fake.calls == [("end", progress.update)]


@pytest.mark.parametrize(
    ("bad", "rows"), [([np.nan, 1.0], [0]), ([np.inf, 1.0], [0]), ([1.0, -np.inf], [1]), ([np.nan, np.inf], [0, 1])]
)
def test_loss_that_is_no_number(bad, rows):
    """The message names the utterances whose loss it is, and no others."""
    fake = Fake([0.5], {3: bad})
    with pytest.raises(InputError, match="loss of update 4") as caught:
        fake.run(Progress())
    assert "learning_rate" in caught.value.action
    assert re.findall(r"batch\d+-row\d+", str(caught.value)) == [f"batch3-row{row}" for row in rows]
    assert f"in {len(rows)} of 2 utterances" in caught.value.received
    assert [saved.update for (saved,) in fake.named("save")] == [2], "nothing is saved from then on"
    assert fake.named("best") == [(2,)]


def test_gradient_that_is_no_number():
    fake = Fake([0.5])
    fake.training = replace(fake.training, step=TrainStep(lambda *_: lambda: fake.found([1.0, 1.0], norm=float("nan"))))
    with pytest.raises(InputError, match="loss of update 1") as caught:
        fake.run(Progress())
    assert "batch0" not in str(caught.value), "every loss is a number: no utterance is to blame"


def test_intervals_count_their_own_updates():
    fake = Fake([0.5, 0.5, 0.5], {0: [3.0, 4.0], 1: [9.0, 2.0]})
    progress = fake.run(Progress())
    first, second, _ = fake.intervals
    assert first.losses() == [(3 + 9) / 6, (4 + 2) / 2]
    assert second.losses() == [2.0, 2.0]
    assert first.audio_s == second.audio_s == 6.0
    assert first.counts.tolist() == [6, 2]
    assert first.weights() == second.weights() == [1.0, 1.0]
    assert 0 < progress.waiting_s < progress.wall_time_s < 60


def test_an_interval_knows_nothing_of_a_task_that_did_not_come():
    interval = Interval(3)
    assert (interval.losses(), interval.weights()) == ([None] * 3, [0.0] * 3)
    interval.add(Observed(*(np.array([6.0, 0.0, 0.0]),) * 3), np.array([1.0, 2.0, 3.0]), 7.0, audio_s=1.0)
    assert interval.losses() == [1.0, None, None]
    assert interval.weights() == [1.0, 2.0, 3.0]


class Rising(Weighting):
    """The first language weighs as much as updates are done; keeps what it is told."""

    kind = "rising"

    def __init__(self):
        super().__init__(OBJECTIVE)
        self.seen: list[Observed] = []

    def weights(self, update: int) -> np.ndarray:
        return np.array([float(update), 1.0])

    def observe(self, observed: Observed) -> None:
        self.seen.append(observed)


def test_weights_go_to_the_step_and_what_it_found_to_the_weighting():
    weighting = Rising()
    fake = Fake([0.5, 0.5], {1: [9.0, 4.0]}, weighting, num_updates=4)
    fake.run(Progress())
    assert [weights for *_, weights in fake.named("step")] == [[float(n), 1.0] for n in range(4)]
    assert [interval.weights() for interval in fake.intervals] == [[0.5, 1.0], [2.5, 1.0]]
    assert [observed.sums.tolist() for observed in weighting.seen[:2]] == [[6.0, 2.0], [9.0, 4.0]]
    for observed in weighting.seen:
        assert (observed.counts.tolist(), observed.seconds.tolist()) == ([3.0, 1.0], [2.0, 1.0])
        assert observed.norms is None


def test_what_a_step_found_is_read_at_once_where_the_next_weights_depend_on_it():
    fake = Fake([0.5], weighting=Rising(), num_updates=3, evaluate_every=3)
    fake.run(Progress())
    assert [call[0] for call in fake.calls[1:7]] == ["step", "update"] * 3


def test_finished():
    assert Progress(update=5).finished(5)
    assert not Progress(update=4).finished(5)
    assert Progress(update=4, end=4).finished(5)


def test_the_next_batch_is_placed_while_a_step_runs():
    asked: list[int] = []

    def batches():
        for number in range(4):
            asked.append(number)
            yield number

    placed, done = [], loop._placed(batches(), lambda batch: placed.append(batch) or 10 * batch)
    first = next(done)
    assert first == (0, 0)
    assert asked == [0, 1], "the next one is under way"
    assert [first, *done] == [(0, 0), (1, 10), (2, 20), (3, 30)]
    assert placed == [0, 1, 2, 3]


def test_a_batch_that_cannot_be_placed_is_told_in_its_turn():
    def place(batch: int) -> int:
        if batch == 1:
            raise ValueError("no room")
        return batch

    done = loop._placed(iter([0, 1, 2]), place)
    assert next(done) == (0, 0)
    with pytest.raises(ValueError, match="no room"):
        next(done)
