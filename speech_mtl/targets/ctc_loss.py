"""Connectionist temporal classification over true lengths."""

import keras
from keras import ops

from speech_mtl.datatypes import BLANK


def ctc_loss(logits, num_frames, tokens, num_tokens):
    """Negative log-likelihood of each utterance's tokens, in nats: (B,).

    Frames and tokens beyond the true lengths change nothing. The caller filters out utterances with fewer frames than
    `min_frames` (their loss has no meaning); a row without tokens gives 0.

    On TensorFlow without a GPU the sparse kernel is used: it is several times faster than the dense one behind
    `keras.ops.ctc_loss`.

    Args:
        logits: (B, E, V).
        num_frames: (B,) true encoder frames.
        tokens: (B, U), blank is token 0.
        num_tokens: (B,) true tokens.

    Reference: Graves et al. 2006, "Connectionist temporal classification", section 4.
    """
    if keras.backend.backend() == "tensorflow":
        return _sparse_ctc_loss(logits, num_frames, tokens, num_tokens)
    loss = ops.ctc_loss(tokens, logits, num_tokens, num_frames, mask_index=BLANK)
    return ops.where(num_tokens > 0, loss, ops.zeros_like(loss))


def _sparse_ctc_loss(logits, num_frames, tokens, num_tokens):
    import tensorflow as tf

    real = num_tokens > 0
    # The kernel refuses rows without tokens: they get a token and a frame, and their loss is set to 0 afterwards.
    tokens = tf.where(real[:, None], tf.pad(tokens, [[0, 0], [0, 1]]), 1)
    mask = tf.sequence_mask(tf.where(real, num_tokens, 1), tf.shape(tokens)[1])
    labels = tf.SparseTensor(tf.where(mask), tf.boolean_mask(tokens, mask), tf.shape(tokens, out_type=tf.int64))
    # The blank of the kernel is the last class; ours is the first.
    rolled = tf.transpose(tf.roll(logits, -1, axis=2), (1, 0, 2))
    loss, _ = tf.raw_ops.CTCLoss(
        inputs=rolled,
        labels_indices=labels.indices,
        labels_values=labels.values - 1,
        sequence_length=tf.where(real, num_frames, 1),
        ctc_merge_repeated=True,
        ignore_longer_outputs_than_inputs=True,
    )
    return tf.where(real, loss, 0.0)
