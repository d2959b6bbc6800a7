"""Config, recipes, the DAG, the local runner and the `unet-tfx` command."""
