"""What threads do ahead: in order, so far ahead and no farther, and nothing after an error."""

import time

import pytest

from speech_mtl.data.threads import ahead


@pytest.mark.parametrize("most", [1, 3, 256])
def test_results_are_in_order_and_no_more_are_taken_than_asked_for(most: int):
    taken: list[int] = []

    def items():
        for number in range(10):
            taken.append(number)
            yield number

    def slower_first(number: int) -> int:
        time.sleep(0.01 / (1 + number))
        return 10 * number

    found = ahead(slower_first, items(), 4, most)
    assert next(found) == 0
    assert len(taken) == min(10, 1 + most)
    assert [*found] == [10 * number for number in range(1, 10)]


def test_after_an_error_nothing_more_begins():
    begun: list[int] = []

    def failing(number: int) -> int:
        begun.append(number)
        time.sleep(0.01)
        if number == 1:
            raise ValueError("broken")
        return number

    found = ahead(failing, range(100), 1, 50)
    assert next(found) == 0
    with pytest.raises(ValueError, match="broken"):
        next(found)
    assert len(begun) < 50


def test_who_needs_no_more_waits_for_nothing_that_has_not_begun():
    begun: list[int] = []
    found = ahead(lambda number: (begun.append(number), time.sleep(0.01)), range(100), 1, 50)
    next(found)
    found.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert len(begun) < 50
