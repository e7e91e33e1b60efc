"""A file for TensorBoard. The writer that comes with it puts the machine's name into the file's."""

import time
from pathlib import Path
from uuid import uuid4

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.record_writer import RecordWriter


class EventFile:
    """Scalars by update, written when `flush` is called; every start of a training has a file of its own.

    Args:
        folder: Where it lies; made if missing.
    """

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"events.out.tfevents.{time.time():.6f}.{uuid4().hex[:8]}"
        self._events = [Event(wall_time=time.time(), file_version="brain.Event:2")]

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        """Adds a value of the series `tag`."""
        self._events.append(Event(wall_time=time.time(), step=step, summary=scalar_pb(tag, value)))

    def flush(self) -> None:
        """Writes what was added."""
        with self.path.open("ab") as file:
            records = RecordWriter(file)
            for event in self._events:
                records.write(event.SerializeToString())
        self._events.clear()
