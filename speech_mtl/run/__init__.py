"""One run: its folder, its speech, its training, and what is done with it when it is trained."""
