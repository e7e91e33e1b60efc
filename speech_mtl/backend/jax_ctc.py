"""The CTC loss under JAX."""

import jax  # pyright: ignore[reportMissingImports]
import jax.numpy as jnp  # pyright: ignore[reportMissingImports]

from speech_mtl.datatypes import BLANK

IMPOSSIBLE = -1e5
"""Log-probability of what cannot be; finite, so that no difference of two is undefined."""


@jax.custom_vjp
def ctc_loss(logits, num_frames, tokens, num_tokens):
    """The loss of each row; a row with more tokens than its frames have room for has a large one.

    Forward and backward probabilities are computed in one loop over the frames, as the forward ones of the utterances
    and of the utterances from their ends; the gradient follows from both. To differentiate a loop takes several times
    as long on a GPU, which is slow at starting each turn.

    Reference: Graves et al. 2006, "Connectionist temporal classification", section 4.1. We differ in logarithms instead
    of scaled probabilities.

    Args:
        logits: (B, T, K).
        num_frames: (B,) true ones.
        tokens: (B, N), padded with blanks.
        num_tokens: (B,) true ones.
    """
    log_probs, symbols = jax.nn.log_softmax(logits), _with_blanks(tokens)
    return -_log_likelihood(_forward(_emitted(log_probs, symbols), _may_skip(symbols)), num_frames, num_tokens)


def _with_gradient(logits, num_frames, tokens, num_tokens):
    """The loss and, for the way back, its gradient."""
    log_probs, symbols = jax.nn.log_softmax(logits), _with_blanks(tokens)
    num_rows, num_times, num_states = len(logits), logits.shape[1], symbols.shape[1]
    times = _reversed(num_frames, num_times)[:, :, None]
    states = _reversed(2 * num_tokens + 1, num_states)

    def from_end(array):
        """(B, T, S) with frames and states in the other order; the padding stays where it is."""
        return jnp.take_along_axis(jnp.take_along_axis(array, times, 1), states[:, None], 2)

    emitted = _emitted(log_probs, symbols)
    skips = _may_skip(symbols), _may_skip(jnp.take_along_axis(symbols, states, 1))
    found = _forward(jnp.concatenate([emitted, from_end(emitted)]), jnp.concatenate(skips))
    forward, backward = found[:num_rows], from_end(found[num_rows:])
    log_likelihood = _log_likelihood(forward, num_frames, num_tokens)
    is_frame = (jnp.arange(num_times) < num_frames[:, None])[:, :, None]
    is_state = (jnp.arange(num_states) < 2 * num_tokens[:, None] + 1)[:, None]
    share = jnp.where(is_frame & is_state, jnp.exp(forward + backward - emitted - log_likelihood[:, None, None]), 0.0)
    by_class = jnp.einsum("bts,bsk->btk", share, jax.nn.one_hot(symbols, logits.shape[2]), precision="highest")
    return -log_likelihood, jnp.where(is_frame, jnp.exp(log_probs) - by_class, 0.0)


def _backwards(gradient, upstream):
    return upstream[:, None, None] * gradient, None, None, None


ctc_loss.defvjp(_with_gradient, _backwards)  # pyright: ignore[reportFunctionMemberAccess]


def _with_blanks(tokens):
    """(B, 2 * N + 1) states: the tokens, with a blank before, between and after."""
    return jnp.full((len(tokens), 2 * tokens.shape[1] + 1), BLANK, tokens.dtype).at[:, 1::2].set(tokens)


def _may_skip(symbols):
    """(B, S) 0 where a state can follow the last but one: no blank, and another token; else `IMPOSSIBLE`."""
    may = (symbols[:, 2:] != symbols[:, :-2]) & (symbols[:, 2:] != BLANK)
    return jnp.where(jnp.pad(may, ((0, 0), (2, 0))), 0.0, IMPOSSIBLE)


def _emitted(log_probs, symbols):
    """(B, T, S) log-probabilities of the states' symbols."""
    return jnp.take_along_axis(log_probs, symbols[:, None], 2)


def _reversed(sizes, size: int):
    """(B, size) positions from the last true one to the first, and then those of the padding."""
    forwards = jnp.arange(size)
    backwards = sizes[:, None] - 1 - forwards
    return jnp.where(backwards < 0, forwards, backwards)


def _forward(emitted, may_skip):
    """(B, T, S) log-probabilities that the states of the frames so far end with this one."""

    def after(states, probs):
        from_last = _shifted(states, 1)
        from_before = _shifted(states, 2) + may_skip
        largest = jnp.maximum(jnp.maximum(states, from_last), from_before)
        sums = sum(jnp.exp(one - largest) for one in (states, from_last, from_before))
        states = largest + jnp.log(sums) + probs
        return states, states

    before = jnp.full(may_skip.shape, IMPOSSIBLE).at[:, 0].set(0.0)  # from there the first blank and the first token
    # A GPU takes longer to begin a turn of the loop than for what one does; a CPU's compiler, for a long turn.
    turns = 16 if jax.default_backend() == "gpu" else 1
    return jax.lax.scan(after, before, emitted.swapaxes(0, 1), unroll=turns)[1].swapaxes(0, 1)


def _shifted(states, number: int):
    return jnp.pad(states[:, :-number], ((0, 0), (number, 0)), constant_values=IMPOSSIBLE)


def _log_likelihood(forward, num_frames, num_tokens):
    """(B,) of the last token or the blank after it in the last frame."""
    last = jnp.take_along_axis(forward, jnp.maximum(num_frames - 1, 0)[:, None, None], 1)[:, 0]
    blank = jnp.take_along_axis(last, 2 * num_tokens[:, None], 1)[:, 0]
    token = jnp.take_along_axis(last, jnp.maximum(2 * num_tokens[:, None] - 1, 0), 1)[:, 0]
    return jnp.logaddexp(blank, jnp.where(num_tokens > 0, token, IMPOSSIBLE))
