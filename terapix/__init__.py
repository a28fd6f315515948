"""What all parts of TERAPIX agree on: identities, settings, clock, retry, journal, daemon life cycle, errors."""
