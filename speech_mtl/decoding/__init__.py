"""From what the network gives to text: decoders, words with times, and the formats that transcripts are written in."""
