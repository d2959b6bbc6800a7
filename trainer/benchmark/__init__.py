"""How fast training, inference and input are here, for `unet-tfx benchmark` and `--benchmark`."""
