"""``terapix sextractor IMAGE[,IMAGE] -c FILE -KEY VALUE``: called as SExtractor is."""

import gc
import os
import re
import sys
from collections.abc import Sequence

from processing.astromatic import files_and_settings
from processing.errors import BadSetting


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; 0 where the catalogue was made, 1 where a file hindered it, 2 where the settings did."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # nothing here has large matrices, and numpy's threads for them take half a second of a core over eight CCDs
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if arguments == ["-dp"]:
        from processing.sextractor.columns import measured  # noqa: PLC0415  for this answer only
        from processing.sextractor.deriving import base_columns  # noqa: PLC0415
        from processing.sextractor.groups import given  # noqa: PLC0415
        from processing.sextractor.settings import Settings  # noqa: PLC0415

        base = given(Settings(columns=("VIGNET(1,1)", "VIGNET_SHIFT(1,1)", "FLUX_GROWTH(1)", "MAG_GROWTH(1)")))
        for each in measured().values():
            if base_columns([each.name]) - base:
                continue
            sys.stdout.write(
                f"#{each.name:<24} {each.meaning:<80} {f'[{each.unit}]' if each.unit else ''}".rstrip() + "\n"
            )
        return 0
    if arguments in (["-v"], ["--version"]):
        from processing.provenance import software  # noqa: PLC0415

        sys.stdout.write(f"{software()}: sextractor as Source Extractor 2.25.0\n")
        return 0

    from processing.sextractor.keys import TOOL  # noqa: PLC0415  numpy comes with it, after its threads are set

    def do() -> str:
        files, rest = files_and_settings(arguments)
        files = [name.strip() for words in files for name in re.split("[,;]", words) if name.strip()]
        if not 1 <= len(files) <= 2:
            raise BadSetting(f"{len(files)} images are given; IMAGE, or DETECTION,MEASUREMENT was expected")
        values = TOOL.read(rest)
        gc.disable()  # nothing of what is brought in goes away again: to look for it takes a tenth of the start
        from processing.sextractor.run import run  # noqa: PLC0415  brings the compiler

        gc.freeze()
        gc.enable()
        return run(files, values, arguments)

    more = "sextractor -dp          print the columns that can be measured\n"
    return TOOL.call(arguments, do, usage="sextractor IMAGE[,IMAGE] [-c FILE] [-KEY VALUE]…", more=more)


if __name__ == "__main__":
    raise SystemExit(main())
