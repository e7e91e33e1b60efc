"""Loss weights of the tasks during training: one strategy per class, its paper in the first lines.

A weighting gives the loss weights lambda of an update and then observes its batch. All of it is arithmetic on T
numbers outside the compiled step. To add one, write a subclass of `Weighting`, and a kind of
`WeightingSettings` that names it. `tests/training/test_weighting.py` finds it by itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from speech_mtl.errors import InputError
from speech_mtl.training.objective import Objective, Observed


class Weighting(ABC):
    """Base of all strategies.

    Args:
        seed: Seed of a strategy that uses random numbers.
    """

    watches_last_layer: ClassVar[bool] = False
    """Whether it needs `Observed.norms`."""
    remembered: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes, arrays or whole numbers, that change during training."""

    def __init__(self, objective: Objective, seed: int = 0):
        self.objective = objective
        self.seed = seed
        self.size = len(objective.names)
        self.learned = objective.learned

    @property
    def observes(self) -> bool:
        """Whether the loss weights of an update depend on the batch of the one before it."""
        return type(self).observe is not Weighting.observe

    @abstractmethod
    def weights(self, update: int) -> np.ndarray:
        """(T,) lambda of an update."""

    def observe(self, observed: Observed) -> None:  # noqa: B027
        """Observes the batch of the last update; does nothing for weights that do not depend on it."""

    def _of_all(self, weights: np.ndarray) -> np.ndarray:
        """(T,) these loss weights of the tasks that are learned, and 1 for the others."""
        found = np.ones(self.size)
        found[self.learned] = weights
        return found

    def state(self) -> dict[str, np.ndarray]:
        """Everything that an interrupted training needs to resume exactly."""
        return {name: np.array(getattr(self, name)) for name in self.remembered}

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Sets what `state` gave."""
        for name in self.remembered:
            setattr(self, name, np.array(state[name]))


class Equal(Weighting):
    """Every task counts alike: lambda = 1."""

    def weights(self, update: int) -> np.ndarray:  # noqa: ARG002
        return np.ones(self.size)


class Fixed(Weighting):
    """Weights that the recipe gives.

    Kurin et al. 2022, "In defense of the unitary scalarization for deep multi-task learning", and Xin et al. 2022, "Do
    current multi-task optimization methods in deep learning even help?": tuned ones are not beaten by adaptive ones.

    Args:
        weights: By task; 1 for those that are not named.

    Raises:
        InputError: All weights are 0.
    """

    def __init__(self, objective: Objective, weights: Mapping[str, float], seed: int = 0):
        super().__init__(objective, seed)
        self.given = np.array([weights.get(name, 1.0) for name in objective.names])
        if not self.given.any():
            raise InputError(
                "weighting.weights leaves nothing to learn",
                expected="at least one weight above 0",
                received="0 for every task",
                action="give the task that matters a weight",
            )

    def weights(self, update: int) -> np.ndarray:  # noqa: ARG002
        return self.given


class Uncertainty(Weighting):
    """Kendall, Gal and Cipolla 2018, "Multi-task learning using uncertainty to weigh losses", section 3.

    Each task has a log variance s that is learned with the network: L = sum_i exp(-s_i) L_i + s_i / 2, half of the
    first term for a regression. We differ in clipping: the optimum weighs a task by 1 / (2 L_i), and a small language
    that is learned by heart would take over; in plain gradient descent on s, whose gradient is known in closed form;
    and the CTC loss is per token.

    Args:
        learning_rate: Of s.
        min_weight: Smallest exp(-s).
        max_weight: Largest exp(-s).
    """

    remembered: ClassVar = ("log_variances",)

    def __init__(
        self,
        objective: Objective,
        learning_rate: float,
        min_weight: float,
        max_weight: float,
        seed: int = 0,
    ):
        super().__init__(objective, seed)
        self.learning_rate = learning_rate
        self.log_variances = np.zeros(self.size)
        self.range = -np.log(max_weight), -np.log(min_weight)
        self.factors = objective.likelihood_factors

    def weights(self, update: int) -> np.ndarray:  # noqa: ARG002
        return self.factors * np.exp(-self.log_variances)

    def observe(self, observed: Observed) -> None:
        slope = 0.5 - self.factors * np.exp(-self.log_variances) * observed.losses
        moved = np.clip(self.log_variances - self.learning_rate * slope, *self.range)
        self.log_variances = np.where(observed.present, moved, self.log_variances)


class DynamicWeightAverage(Weighting):
    """Liu, Johns and Davison 2019, "End-to-end multi-task learning with attention", section 3.2, equation 7.

    lambda_i = T softmax(w_i / temperature) with w_i the mean loss of the last period over that of the one before. We
    differ in periods of a number of updates instead of epochs, which batches of several languages do not have.

    Args:
        temperature: 1 follows the losses closely, large values make the weights equal.
        period: Updates.
    """

    remembered: ClassVar = ("sums", "counts", "means", "num_updates")

    def __init__(self, objective: Objective, temperature: float, period: int, seed: int = 0):
        super().__init__(objective, seed)
        self.temperature, self.period = temperature, period
        self.sums, self.counts = np.zeros(self.size), np.zeros(self.size)
        self.num_updates = 0
        self.means = np.full((2, self.size), np.nan)
        """Of the last period but one and the last one."""

    def weights(self, update: int) -> np.ndarray:  # noqa: ARG002
        known = ~np.isnan(self.means).any(axis=0) & (self.means > 0).all(axis=0)
        rates = np.ones(self.size)
        np.divide(self.means[1], self.means[0], out=rates, where=known)
        return self._of_all(_softmax_weights(rates[self.learned] / self.temperature))

    def observe(self, observed: Observed) -> None:
        self.sums = self.sums + observed.sums
        self.counts = self.counts + observed.counts
        self.num_updates += 1
        if self.num_updates == self.period:
            latest = np.where(self.counts > 0, self.sums / np.maximum(self.counts, 1), self.means[1])
            self.means = np.stack([self.means[1], latest])
            self.sums, self.counts, self.num_updates = np.zeros(self.size), np.zeros(self.size), 0


class GradNorm(Weighting):
    """Chen et al. 2018, "GradNorm: Gradient normalization for adaptive loss balancing", algorithm 1.

    G_i, the norm of the gradient of lambda_i L_i in the last shared layer, is led towards mean(G) r_i^alpha, where r_i
    is how far the task's loss is from its start in comparison with the others. We differ in L_i(0), the mean of the
    first `start_updates` batches that have the task, since CTC's first losses are uninformative; and in leaving out of
    an update the tasks that the batch has nothing of.

    Args:
        alpha: How hard tasks that learn slowly are pulled.
        learning_rate: Of the weights.
        start_updates: Batches with the task that L_i(0) is measured over; its weight does not change meanwhile.
    """

    watches_last_layer: ClassVar = True
    remembered: ClassVar = ("current", "start_sums", "start_counts", "num_seen")

    def __init__(
        self,
        objective: Objective,
        alpha: float,
        learning_rate: float,
        start_updates: int,
        seed: int = 0,
    ):
        super().__init__(objective, seed)
        self.alpha, self.learning_rate, self.start_updates = alpha, learning_rate, start_updates
        self.current = np.ones(self.size)
        self.start_sums, self.start_counts = np.zeros(self.size), np.zeros(self.size)
        self.num_seen = np.zeros(self.size, int)
        """(T,) batches that had the task."""

    def weights(self, update: int) -> np.ndarray:  # noqa: ARG002
        return self.current

    def observe(self, observed: Observed) -> None:
        starting = observed.present & (self.num_seen < self.start_updates)
        self.start_sums = self.start_sums + np.where(starting, observed.sums, 0.0)
        self.start_counts = self.start_counts + np.where(starting, observed.counts, 0.0)
        self.num_seen = self.num_seen + observed.present
        first = self.start_sums / np.maximum(self.start_counts, 1)
        active = observed.present & ~starting & (first > 0)
        if observed.norms is None or np.count_nonzero(active) < 2:
            return
        slopes = np.zeros(self.size)
        slopes[active] = self.slopes(
            self.current[active], observed.norms[active], observed.losses[active] / first[active]
        )
        moved = np.maximum(self.current - self.learning_rate * slopes, 1e-3)
        moved[active] *= self.current[active].sum() / moved[active].sum()
        self.current = np.where(active, moved, self.current)

    def slopes(self, weights: np.ndarray, norms: np.ndarray, ratios: np.ndarray) -> np.ndarray:
        """Derivative of sum_i |G_i - mean(G) r_i^alpha| by each weight, the target held constant.

        Args:
            weights: lambda_i.
            norms: Norm of the gradient of L_i.
            ratios: L_i / L_i(0).
        """
        lengths = weights * norms
        targets = lengths.mean() * (ratios / ratios.mean()) ** self.alpha
        return np.sign(lengths - targets) * norms


class RandomWeights(Weighting):
    """Lin et al. 2021, "Reasonable effectiveness of random weighting: a litmus test for multi-task learning".

    lambda = softmax of normal draws, anew in every update. We differ in multiplying by T, so that weights are 1 on
    average and learning rates can be compared.
    """

    def weights(self, update: int) -> np.ndarray:
        draws = np.random.default_rng([self.seed, update]).standard_normal(np.count_nonzero(self.learned))
        return self._of_all(_softmax_weights(draws))


class CtcDro(Weighting):
    """Bartelds et al. 2025, "CTC-DRO: Robust optimization for reducing language disparities in speech recognition".

    Algorithm 1: the worst languages first. Every time that all languages that are learned have been seen since the
    last time, each one's fraction q is multiplied by exp(step_size * loss / (q + smoothing)); lambda = L q. The
    loss of a language is that of `duration_s` seconds of its speech, so that languages of longer utterances or more
    tokens do not seem worse than they are: the paper fills batches of one language with that much, our batches mix
    languages and we scale. Tasks besides transcripts have the weight 1.

    Args:
        step_size: eta of the paper; smaller than theirs by default, since languages that share batches are seen sooner.
        smoothing: alpha of the paper, above 0; fractions settle where q + smoothing is proportional to the loss, and
            the larger it is, the more goes to the worst language alone, as in group DRO.
        duration_s: Seconds of speech that a loss is scaled to.
    """

    remembered: ClassVar = ("shares", "sums", "seconds")

    def __init__(
        self,
        objective: Objective,
        step_size: float,
        smoothing: float,
        duration_s: float,
        seed: int = 0,
    ):
        super().__init__(objective, seed)
        self.step_size, self.smoothing, self.duration_s = step_size, smoothing, duration_s
        self.num_languages = len(objective.languages)
        self.own = np.flatnonzero(self.learned[: self.num_languages])
        self.shares = np.full(self.num_languages, 1.0 / max(1, len(self.own)))
        self.sums, self.seconds = np.zeros(self.num_languages), np.zeros(self.num_languages)

    def weights(self, update: int) -> np.ndarray:  # noqa: ARG002
        weights = np.ones(self.size)
        weights[self.own] = len(self.own) * self.shares[self.own]
        return weights

    def observe(self, observed: Observed) -> None:
        self.sums = self.sums + observed.sums[: self.num_languages]
        self.seconds = self.seconds + observed.seconds[: self.num_languages]
        own = self.own
        if len(own) and (self.seconds[own] > 0).all():
            losses = self.sums[own] / self.seconds[own] * self.duration_s
            self.shares[own] = self.moved(self.shares[own], losses)
            self.sums, self.seconds = np.zeros(self.num_languages), np.zeros(self.num_languages)

    def moved(self, shares: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """The fractions after one observation of the languages' losses."""
        exponents = self.step_size * losses / (shares + self.smoothing)
        grown = shares * np.exp(exponents - exponents.max())  # the same after normalising, and without overflow
        return grown / grown.sum()


def _softmax_weights(values: np.ndarray) -> np.ndarray:
    """Softmax, times the number of values: 1 on average."""
    powers = np.exp(values - values.max())
    return len(values) * (powers / powers.sum())
