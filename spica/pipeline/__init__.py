"""The pipeline: what is placed becomes due, is worked on where it lies, and is recorded once."""

from spica.pipeline.automatic import Pipeline

__all__ = ["Pipeline"]
