"""Work that threads do ahead of who needs it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def ahead(
    function: Callable[[S], T], items: Iterable[S], num_threads: int | None = None, most: int = 256
) -> Iterator[T]:
    """Calls a function in threads, at most so many items ahead, and yields results in order.

    Memory does not grow with the number of items. An error is raised in its turn; what has not begun then never does.

    Args:
        function: The function.
        items: Its arguments; the next one is taken when a result is asked for.
        num_threads: None: as many as Python finds good for reading files.
        most: Calls that are under way or wait for their turn.
    """
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(num_threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()
