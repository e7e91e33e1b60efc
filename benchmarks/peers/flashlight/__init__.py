"""flashlight-text as a contestant, in its own environment."""
