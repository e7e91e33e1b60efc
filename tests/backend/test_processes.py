"""What holds for one process under any backend; several are in `tests/run/test_several_processes.py`."""

from types import SimpleNamespace

import numpy as np
import pytest

from speech_mtl.backend import own_rows, processes
from speech_mtl.backend.processes import Place, ProcessLost, connected, own_place
from speech_mtl.backend.step import UNLIMITED, Limits
from speech_mtl.errors import InputError


def test_one_process_is_the_first_and_waits_for_nobody():
    assert processes.count() == 1
    assert processes.is_first()
    processes.wait("nobody")
    values = np.array([0.1, 2e-300])
    assert processes.of_first(values) is values
    assert own_rows(5, 1000, Limits(6000)) == range(5)


def test_a_process_finds_its_place(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(processes.VARIABLE, raising=False)
    assert own_place() is None
    place = Place(3, 4, "node0:7654", 1, is_local=False)
    for name, value in place.to_environment().items():
        monkeypatch.setenv(name, value)
    assert own_place() == place


def test_more_processes_than_accelerators_are_refused(monkeypatch: pytest.MonkeyPatch):
    met = []

    def no_device() -> None:
        raise RuntimeError("Unable to initialize backend 'cuda'")

    jax = SimpleNamespace(
        config=SimpleNamespace(update=lambda *_: None),
        distributed=SimpleNamespace(initialize=lambda *given, **named: met.append((given, named))),
        local_devices=no_device,
    )
    monkeypatch.setattr(processes, "_jax", lambda: jax)
    with pytest.raises(InputError, match="Process 1 of 2 has no device") as caught:
        processes.join(Place(1, 2, "127.0.0.1:7654", 1, is_local=True))
    assert "backend 'cuda'" in caught.value.received
    named = {"local_device_ids": [1], "coordinator_bind_address": "127.0.0.1:7654"}
    assert met == [(("127.0.0.1:7654", 2, 1), named)]


def test_errors_of_the_runtime_are_told_from_faults():
    gloo = "UNKNOWN: Gloo AllGather failed: Connection closed by peer\nmore"
    for kind in (ValueError, RuntimeError):
        with pytest.raises(ProcessLost) as caught, connected():
            raise kind(gloo)
        assert caught.value.received == gloo.partition("\n")[0]
        assert "resumes" in caught.value.action
    with pytest.raises(ValueError, match="of ours"), connected():
        raise ValueError("a fault of ours")


@pytest.mark.parametrize(
    ("count", "rows"), [(1, [7]), (2, [4, 3]), (3, [3, 3, 1]), (4, [2, 2, 2, 1]), (8, [1] * 7 + [0])]
)
def test_rows_of_processes_are_those_of_the_padded_batch(count: int, rows: list[int], monkeypatch: pytest.MonkeyPatch):
    jax = pytest.importorskip("jax", reason="needs the extra `jax`")
    from speech_mtl.backend import jax_backend

    monkeypatch.setattr(jax, "process_count", lambda: len(rows))
    monkeypatch.setattr(processes, "count", lambda: len(rows))
    parts = []
    for index in range(len(rows)):
        monkeypatch.setattr(jax, "process_index", lambda index=index: index)
        parts.append(jax_backend.own_rows(7, 1000, UNLIMITED))
    assert list(map(len, parts)) == rows
    assert [row for part in parts for row in part] == list(range(7))
