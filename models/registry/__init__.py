"""Model files: safe bytes for tensors, and a folder of immutable versions. Knows nothing of what the tensors mean."""
