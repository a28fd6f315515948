"""What all parts of TERAPIX agree on: identities, settings, clock, retry, journal, daemon life cycle, errors."""

__version__ = "0.1.0"
