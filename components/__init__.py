"""TFX components: thin plumbing around `beam_preprocess` and `trainer`."""

_ARTIFACT_TYPES = ("DataApproval", "ReportPage")


def __getattr__(name: str) -> type:
    """Finds artifact types under their type names when they are asked for.

    `components.artifacts` imports TFX, which commands like `predict` do not need.
    """
    if name not in _ARTIFACT_TYPES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from components import artifacts

    return getattr(artifacts, name)
