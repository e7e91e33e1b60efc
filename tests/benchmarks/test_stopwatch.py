"""Times of the clock and of the processor, and summaries of rounds."""

import time

from benchmarks.rounds import Rounds, Speed, spread
from benchmarks.stopwatch import MachineLoad, Seconds, Stopwatch


def test_sleeping_takes_time_but_no_processor():
    stopwatch = Stopwatch()
    time.sleep(0.05)
    slept = stopwatch.lap()
    assert slept.wall >= 0.05
    assert slept.cpu < slept.wall
    assert stopwatch.lap().wall < slept.wall


def test_load_of_others_is_not_negative():
    load = MachineLoad()
    time.sleep(0.02)
    others = load.others(own_cpu_s=1e6)
    assert others is None or others == 0.0


def test_ratio_is_by_round_and_per_second_of_audio():
    ours = [Speed(Seconds(1.0, 2.0), 10.0), Speed(Seconds(3.0, 2.0), 10.0)]
    twin = [Speed(Seconds(1.0, 4.0), 5.0), Speed(Seconds(1.5, 4.0), 5.0)]
    summary = Rounds({"ours": ours, "twin": twin}, others=0.5).summary("ours")
    assert summary["ours"]["audio_s_per_s"] == spread([10.0, 10.0 / 3.0])
    assert summary["ratios"]["twin"]["wall"] == {"median": 1.5, "min": 1.0, "max": 2.0}
    assert summary["ratios"]["twin"]["cpu"]["median"] == 4.0
