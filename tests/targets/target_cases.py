"""Examples of every kind of target of labels: `CASES`. A new kind needs one here; the conformance tests ask for it."""

import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.special

from speech_mtl.targets.frame_multi_label import ENDS

TIMES_S = np.array([0.1, 0.2, 0.3, 0.45, 0.6])
"""Where the frames of the examples lie, for tasks over frames."""
NAN = float("nan")


class Case(NamedTuple):
    """Examples of a kind of target.

    Attributes:
        labels: Of training.
        values: What they are encoded as, over `TIMES_S` if the task is over frames.
        perfect: Encoded values (without NaN) -> what a perfect head says.
        wrong_outputs: What a perfect head says -> what a bad one says.
        loss: An independent formula of the losses.
        best: The score of a perfect head.
        no_labels: What is no label of a task made of `labels`; the first, of no task of the kind.
        useless: Labels from which no task can be made; the second list has one that could be of a task.
    """

    labels: list[Any]
    values: list[Any]
    perfect: Callable[[np.ndarray], np.ndarray]
    wrong_outputs: Callable[[np.ndarray], np.ndarray]
    loss: Callable[[np.ndarray, np.ndarray], np.ndarray]
    best: float
    no_labels: list[Any]
    useless: list[list[Any]]


def loss_of_classes(outputs: np.ndarray, values: np.ndarray) -> np.ndarray:
    log_probabilities = np.log(scipy.special.softmax(outputs.astype("float64"), axis=-1))
    return -np.take_along_axis(log_probabilities, values.astype(int)[..., None], axis=-1)[..., 0]


def loss_of_tags(outputs: np.ndarray, values: np.ndarray) -> np.ndarray:
    probabilities = scipy.special.expit(outputs.astype("float64"))
    return -np.log(np.where(values == 1, probabilities, 1 - probabilities))


AGES = [20, 30.5, 40, 60]

CASES: dict[str, Case] = {
    "classes": Case(
        labels=["happy", "sad", "angry", "sad"],
        values=[1.0, 2.0, 0.0, 2.0],
        perfect=lambda values: 20 * np.eye(3)[values.astype(int)],
        wrong_outputs=lambda outputs: np.roll(outputs, 1, axis=-1),
        loss=loss_of_classes,
        best=1.0,
        no_labels=[1.5, "calm", "", None, ["sad"], {"sad": 1}],
        useless=[[], ["sad", "sad"], ["sad", "", "happy"]],
    ),
    "number": Case(
        labels=AGES,
        values=[(age - statistics.fmean(AGES)) / statistics.pstdev(AGES) for age in AGES],
        perfect=lambda values: values[..., None],
        wrong_outputs=lambda outputs: outputs + 3,
        loss=lambda outputs, values: (outputs[..., 0] - values) ** 2,
        best=0.0,
        no_labels=["30", True, None, NAN, float("inf"), [30]],
        useless=[[], [3, 3.0, 3]],
    ),
    "tags": Case(
        labels=[{"music": 1, "laughter": 0, "cough": None}, {"music": 0}, {"cough": 1, "laughter": True}],
        values=[[NAN, 0.0, 1.0], [NAN, NAN, 0.0], [1.0, 1.0, NAN]],
        perfect=lambda values: 40 * values - 20,
        wrong_outputs=lambda outputs: -outputs,
        loss=loss_of_tags,
        best=1.0,
        no_labels=[
            "music",
            None,
            1,
            ["music"],
            {"music": 2},
            {"music": "yes"},
            {"cough": 0.5},
            {"music": 1, "bark": 0},
        ],
        useless=[[], [{}], [{"music": None}]],
    ),
    "frame_tags": Case(
        labels=[
            {ENDS: [0.15, 0.4], "voiced": [0, 1], "nasal": [1, None]},
            {ENDS: [0.25, 0.25, 0.5], "nasal": [True, 1, 0]},
        ],
        values=[
            [[1.0, 0.0], [NAN, 1.0], [NAN, 1.0], [NAN, NAN], [NAN, NAN]],
            [[1.0, NAN], [1.0, NAN], [0.0, NAN], [0.0, NAN], [NAN, NAN]],
        ],
        perfect=lambda values: 40 * values - 20,
        wrong_outputs=lambda outputs: -outputs,
        loss=loss_of_tags,
        best=1.0,
        no_labels=[
            [0.1, 0.2],
            None,
            {"voiced": [0, 1]},
            {ENDS: 0.3, "voiced": [0]},
            {ENDS: [0.1, 0.2], "voiced": [0]},
            {ENDS: [0.1, 0.2], "voiced": [0, 1], "nasal": [0]},
            {ENDS: [0.1], "voiced": 0},
            {ENDS: [0.2, 0.1], "voiced": [0, 1]},
            {ENDS: [-0.1, 0.1], "voiced": [0, 1]},
            {ENDS: [0.1, None], "voiced": [0, 1]},
            {ENDS: ["soon"], "voiced": [0]},
            {ENDS: [[0.1]], "voiced": [0]},
            {ENDS: [0.1], "voiced": [2]},
            {ENDS: [0.1, 0.2], "voiced": [0, 1], "trill": [None, 0]},
        ],
        useless=[[], [{ENDS: [0.1]}], [{ENDS: [0.1], "voiced": [None]}]],
    ),
}
