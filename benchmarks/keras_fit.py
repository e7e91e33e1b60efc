"""Our network in `keras.Model.compile` and `train_on_batch`, as someone who does not know our step would do."""

from collections.abc import Callable

import keras
from keras import ops

from benchmarks.contestants import LEARNING_RATE, Case
from speech_mtl.backend import ctc_loss
from speech_mtl.datatypes import BLANK, TRANSCRIPT, Batch
from speech_mtl.run.build import build_model


class FitModel(keras.Model):
    """The network with its loss."""

    def __init__(self, network: keras.Model, sparse_ctc: bool):
        super().__init__()
        self.network = network
        self.sparse_ctc = sparse_ctc

    def call(self, inputs, training=False):
        outputs = self.network(*inputs[:3], training=training)
        return outputs.values[TRANSCRIPT], outputs.num_frames

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Negative log-likelihood per token."""
        del x, sample_weight, training
        (values, num_frames), (tokens, num_tokens) = y_pred, y  # type: ignore[misc]
        if self.sparse_ctc:
            losses = ctc_loss(values, num_frames, tokens, num_tokens)
        else:
            losses = ops.ctc_loss(tokens, values, num_tokens, num_frames, mask_index=BLANK)
        return ops.sum(losses) / ops.cast(ops.sum(num_tokens), "float32")


def make_fit_step(case: Case, jit_compile: str | bool, sparse_ctc: bool) -> Callable[[Batch], float]:
    """A batch -> its loss; one update."""
    training = case.recipe.training
    model = FitModel(build_model(case.recipe, case.targets), sparse_ctc)
    optimizer = keras.optimizers.AdamW(
        LEARNING_RATE, weight_decay=training.weight_decay, beta_2=0.98, global_clipnorm=training.clip_norm
    )
    model.compile(optimizer=optimizer, jit_compile=jit_compile)  # type: ignore[arg-type]

    def step(batch: Batch) -> float:
        return model.train_on_batch(tuple(batch[:3]), tuple(batch.targets[TRANSCRIPT]))

    return step
