"""Simulated room impulse responses, for `augment.waveform.NAME.kind=reverberation`; measured ones need no script.

Shoebox rooms by the image method (Allen and Berkley 1979, "Image method for efficiently simulating small-room
acoustics"), through pyroomacoustics, with the sources moved a little at random against sweeping echoes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import soundfile
import typer

from data_scripts.command_line import report_input_errors
from speech_mtl.errors import InputError, refuse_missing
from speech_mtl.files import replacing
from speech_mtl.screen import Screen

SIZES_M = ((2.5, 8.0), (2.5, 6.0), (2.2, 3.5))
"""Ranges of length, width and height of a room."""

WALL_M = 0.3
"""Least distance of speaker and microphone from a wall."""

DISTANCES_M = (0.3, 4.0)
"""Range of the distance between speaker and microphone."""

PEAK = 0.9
"""Largest sample of each response: its level does not matter, but 16 bits should be used."""


LEAST_S = 0.1
"""Least upper end of the range of reverberation times: hardly any of these rooms has a shorter one."""


def room_response(seed: Sequence[int], reverberation_s: tuple[float, float], sample_rate_hz: int) -> np.ndarray:
    """The response of a random room: (S,) float32.

    Args:
        seed: Decides the room and the places in it: numbers, such as that of a set of rooms and that of the room.
        reverberation_s: Range of the reverberation time RT60 by Sabine's formula, up to at least `LEAST_S`.
        sample_rate_hz: Rate of the response.
    """
    import pyroomacoustics

    generator = np.random.default_rng(seed)
    while True:
        size = np.array([generator.uniform(*ends) for ends in SIZES_M])
        try:
            absorption, order = pyroomacoustics.inverse_sabine(generator.uniform(*reverberation_s), size)
        except ValueError:  # no walls absorb enough for so short a time in so large a room
            continue
        speaker, microphone = generator.uniform(WALL_M, size - WALL_M, (2, 3))
        if DISTANCES_M[0] <= np.linalg.norm(speaker - microphone) <= DISTANCES_M[1]:
            break
    pyroomacoustics.random.seed(int(generator.integers(2**32)))
    material: Any = pyroomacoustics.Material(absorption)
    room = pyroomacoustics.ShoeBox(
        size, fs=sample_rate_hz, materials=material, max_order=order, air_absorption=True, use_rand_ism=True
    )
    room.add_source(speaker)
    room.add_microphone(microphone)
    room.compute_rir()
    response = np.asarray(room.rir[0][0])
    return (PEAK * response / np.abs(response).max()).astype("float32")


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@report_input_errors
def command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the responses go: 00000.flac, ...")],
    number: Annotated[int, typer.Option(min=1, max=100_000, help="How many rooms.")] = 200,
    shortest_s: Annotated[float, typer.Option(min=0.05, max=2.0, help="Least reverberation time (RT60).")] = 0.1,
    longest_s: Annotated[float, typer.Option(min=LEAST_S, max=2.0, help="Greatest one.")] = 0.6,
    sample_rate_hz: Annotated[int, typer.Option(min=8000, max=48_000, help="Rate of the responses.")] = 16_000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other rooms.")] = 0,
) -> None:
    """Simulated room impulse responses in a folder. What is there already is not made again.

    \b
    Example:
      python -m data_scripts.rooms data/rooms --number 200
    """
    if not shortest_s <= longest_s:
        raise InputError(
            "The range of reverberation times is empty",
            expected="--shortest-s of at most --longest-s",
            received=f"--shortest-s {shortest_s:g} --longest-s {longest_s:g}",
            action="exchange them",
        )
    refuse_missing("pyroomacoustics", extra="rooms", purpose="The simulation of rooms")
    for i in Screen().progress(range(number), "Rooms"):
        path = folder / f"{i:05d}.flac"
        if not path.exists():
            response = room_response((seed, i), (shortest_s, longest_s), sample_rate_hz)
            with replacing(path) as temporary, temporary.open("wb") as file:
                soundfile.write(file, response, sample_rate_hz, format="FLAC")


if __name__ == "__main__":
    app()
