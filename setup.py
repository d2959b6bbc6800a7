"""Packaging of unet-tfx: five top-level packages, one console command."""

from pathlib import Path

from setuptools import find_packages, setup

VERSION = "0.1.0"
LAYERS = ["beam_preprocess", "trainer", "components", "pipeline", "kubeflow"]
TRACKING = [
    *("mlflow-skinny>=2.10", "sqlalchemy>=2", "alembic>=1.10"),  # the last two: its store in a file
    "wandb>=0.16",
]

setup(
    name="unet-tfx",
    version=VERSION,
    description="From brain scans and surface photographs to a segmentation model in service",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.12",
    packages=find_packages(include=[p for name in LAYERS for p in (name, f"{name}.*")]),
    package_data={
        "components": [
            f"{p}/*.{s}"
            for p in ("web", "report", "check_page", "compare_page")
            for s in ("html", "css", "js")
        ]
    },
    install_requires=[
        "tfx>=1.16,<1.22",
        "tensorflow>=2.16,<2.22",
        "tensorflow-transform>=1.16,<1.22",
        "apache-beam>=2.59,<2.78",
        "nibabel>=5.2",
        "pillow>=10",
        "tifffile>=2024.1",
        "isal>=1.6",
        "numpy>=1.26",
        "scikit-learn>=1.5",
        "scipy>=1.11,<2",  # surface-distance takes names that go in 2
        "surface-distance==0.1",
        "google-crc32c>=1.5",
        "jsonargparse[signatures]>=4.49",
        "jinja2>=3.1",
        "tqdm>=4.66",
    ],
    extras_require={
        "kubeflow": ["kfp>=2.5,<2.17", "kubernetes>=26"],
        "horovod": ["horovod==0.28.1"],
        "tracking": TRACKING,
        "dev": [
            *TRACKING,
            *("pytest>=8", "pytest-timeout>=2.3", "pytest-xdist>=3.6", "hypothesis>=6.100"),
            *("ruff>=0.6", "mypy>=1.10"),
            "jax[cpu]>=0.4.26,<0.5",  # that the network and the losses run on it is tested
        ],
    },
    entry_points={"console_scripts": ["unet-tfx=pipeline.cli:main"]},
)
