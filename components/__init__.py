"""TFX components: thin plumbing around `beam_preprocess` and `trainer`."""
