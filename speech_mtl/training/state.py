"""The state of training: everything that changes during training, and that a checkpoint holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import keras
import numpy as np
from typing_extensions import TypedDict

from speech_mtl.backend.step import size_of
from speech_mtl.files import NotNegative
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.training.optimizer import FlatOptimizer
from speech_mtl.training.weighting import Weighting


class ParameterCounts(TypedDict):
    """Numbers of parameters of a network: all, trained, and of each language."""

    total: NotNegative
    trained: NotNegative
    own: dict[str, NotNegative]


@dataclass(frozen=True)
class TrainState:
    """A tree of arrays: weights by part of the network, optimiser, loss weights, random generator.

    A training that gets the state of another one continues exactly as that one would.
    """

    model: MultilingualModel
    optimizer: FlatOptimizer
    weighting: Weighting

    def tree(self) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        """Its branches one by one: the name, and arrays by name."""
        for name, part in self.model.parts().items():
            yield name, {key: keras.ops.convert_to_numpy(variable.value) for key, variable in part.items()}
        yield "optimizer", self.optimizer.named_state()
        if weighting := self.weighting.state():
            yield "weighting", weighting
        yield "random", {"state": keras.ops.convert_to_numpy(self.model.random.state.value)}

    def num_parameters(self) -> ParameterCounts:
        """Counts the parameters of the network."""
        total = sum(size_of(variable) for part in self.model.parts().values() for variable in part.values())
        own = {name: sum(map(size_of, self.model.weights_of(name))) for name in self.model.languages}
        return {"total": total, "trained": sum(self.optimizer.sizes), "own": own}

    def assign(self, tree: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Sets everything to a tree of the same names and shapes."""
        for name, part in self.model.parts().items():
            for key, variable in part.items():
                variable.assign(tree[name][key])
        self.optimizer.set_named_state(tree["optimizer"])
        if "weighting" in tree:
            self.weighting.set_state(tree["weighting"])
        self.model.random.state.assign(tree["random"]["state"])
