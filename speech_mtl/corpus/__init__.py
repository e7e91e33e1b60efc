"""Manifests as a user has them: checked, summed up, split and listened to, before anything is trained."""
