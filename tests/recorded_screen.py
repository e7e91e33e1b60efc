"""A screen that tests read."""

from speech_mtl.screen import Screen


class RecordedScreen(Screen):
    """A screen that keeps what is said on it."""

    def __init__(self):
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)

    def warn(self, message: str) -> None:
        self.lines.append(f"warning {message}")
