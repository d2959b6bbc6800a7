"""`unet-tfx compile`: the DAG of `unet-tfx run` as a Kubeflow Pipelines spec."""

import importlib.util
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from beam_preprocess.validation import require
from kubeflow.config import MOUNT, ClusterConfig, check_run
from pipeline.config import RunConfig
from pipeline.options import add_config_options, build_config, parse, peek_recipe
from pipeline.recipes import RECIPES
from pipeline.usage import UsageError

_DESCRIPTION = """Writes the DAG of `unet-tfx run` as a Kubeflow Pipelines spec (schema version
2.1.0), without a cluster and without the data. Paths are those that pods see; the pipeline root is
given at submission. Options override --config, --config overrides the recipe. Exit status: 0
written, 1 failed, 2 wrong usage."""


def make_parser(recipe: str = "brats") -> ArgumentParser:
    """The parser of `unet-tfx compile`, with the values of a recipe as defaults; the data are on
    the volume that pods share. `--output` is the file to write: a run on Kubeflow has no run
    folder.
    """
    parser = ArgumentParser(
        prog="unet-tfx compile",
        usage="unet-tfx compile --recipe NAME --output FILE.yaml [--image IMAGE] [--config FILE]"
        " [--SECTION.FIELD VALUE ...]",
        description=_DESCRIPTION,
        exit_on_error=False,
        allow_abbrev=False,
        print_config=None,
    )
    parser.add_argument("--output", metavar="FILE.yaml", required=True, help="file to write")
    parser.add_class_arguments(ClusterConfig, None)
    add_config_options(parser, recipe, skip={"output"})
    parser.set_defaults({"data.root": f"{MOUNT}/data/{RECIPES[recipe]().data.dataset}"})
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit status.

    Raises:
      UsageError: An option cannot be used as it is.
      RuntimeError: The Kubeflow Pipelines SDK is missing.
      ValueError: The network does not suit the dataset.
    """
    if {"-h", "--help"} & set(argv):
        make_parser().print_help()
        return 0
    parser = make_parser(peek_recipe(argv))
    options = parse(parser, argv)
    path = options.output
    config, cluster = _build_configs(parser, options)
    if importlib.util.find_spec("kfp") is None:
        raise RuntimeError("kfp must be installed to compile: pip install 'unet-tfx[kubeflow]'")
    with _quiet_frameworks():
        from kubeflow.compiler import tasks, write_spec

        spec = write_spec(config, cluster, Path(path))
    print(f"{path}: pipeline {config.name}, {len(tasks(spec))} tasks, image {cluster.image}")
    return 0


def _build_configs(parser: ArgumentParser, options: Namespace) -> tuple[RunConfig, ClusterConfig]:
    """Checks all options. Raises UsageError where a value breaks a rule."""
    try:
        path = options.output
        require(path.endswith(".yaml"), "--output", path, "a file name that ends in .yaml")
        cluster = ClusterConfig(**{f.name: options[f.name] for f in fields(ClusterConfig)})
        options.output = f"{cluster.state}/{options.name}"
        config = build_config(parser, options)
        check_run(config)
    except ValueError as e:
        raise UsageError(str(e)) from e
    return config, cluster


@contextmanager
def _quiet_frameworks() -> Iterator[None]:
    """TFX and its Google libraries log a screenful on import; errors still come through."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
