"""Raw files -> checked cases -> records. The lowest layer: it imports nothing of ours."""
