"""The twin is the same network: with our weights it gives our logits, our loss, and our gradient."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the twin needs benchmarks/requirements.txt")

from benchmarks import speech_like  # noqa: E402
from benchmarks.contestants import twin_settings  # noqa: E402
from benchmarks.pytorch_twin import Twin, as_tensors, copy_weights, ctc_loss, make_train_step  # noqa: E402
from speech_mtl import training  # noqa: E402
from speech_mtl.build import build_model, build_optimizer  # noqa: E402
from speech_mtl.training.gradients import make_forward, make_train_step as make_our_train_step  # noqa: E402
