"""Where the files that come with TERAPIX lie: defaults, instruments, recipes."""

import os
import sys
from pathlib import Path


def etc_directory() -> Path:
    """Directory of the shipped defaults: ``TERAPIX_ETC``, the checkout's ``etc``, or the installation's share."""
    chosen = os.environ.get("TERAPIX_ETC")
    places = [Path(chosen)] if chosen else []
    places += [Path(__file__).resolve().parent.parent / "etc", Path(sys.prefix) / "share" / "terapix" / "etc"]
    for place in places:
        if (place / "instruments").is_dir():
            return place
    raise FileNotFoundError(
        f"no instruments directory in {', '.join(map(str, places))}; set TERAPIX_ETC to the etc directory"
    )
