"""``terapix skymaker``: configuration files and ``-KEY VALUE`` as SkyMaker takes them."""

import os
import sys
import time
from collections.abc import Sequence

from processing.errors import BadSetting, ProcessingError


def _split(argv: Sequence[str]) -> tuple[str, list[str]]:
    """Name of the list, and the options."""
    listed, options = "", []
    rest = iter(argv)
    for argument in rest:
        if argument.startswith("-") and len(argument) > 1:
            options += [argument, *(value for value in [next(rest, None)] if value is not None)]
        elif listed:
            raise BadSetting(f"argument {argument!r}: one list was expected, and {listed!r} was given before")
        else:
            listed = argument
    return listed, options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; 0 where the image was made, 1 where a file hindered it, 2 where the settings did."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # nothing here has large matrices, and numpy's threads for them take 0.05 s of a core to begin
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if any(argument.partition("=")[0] == "--instrument" for argument in arguments):
        from processing.skymaker import survey  # noqa: PLC0415  a single image does not wait for the camera's parts

        return survey.main(arguments)
    from processing.skymaker.making import run  # noqa: PLC0415  numpy comes with it, after its threads are set
    from processing.skymaker.settings import TOOL  # noqa: PLC0415  as above

    def do() -> str:
        begin = time.monotonic()
        listed, options = _split(arguments)
        values = TOOL.read(options)
        configured = options[options.index("-c") + 1] if "-c" in options else TOOL.default_file
        try:
            made = run(values, listed, configured)
        except ValueError as problem:
            raise ProcessingError(str(problem)) from problem
        if values.text("VERBOSE_TYPE") == "QUIET":
            return ""
        what = f"{len(made.sources)} sources" if made.sources is not None else values.text("IMAGE_TYPE")
        return f"{what} in {time.monotonic() - begin:.2f} s"

    more = "skymaker --instrument NAME --help   whole frames of a camera\n"
    return TOOL.call(arguments, do, usage="skymaker [LIST] [-c FILE] [-KEY VALUE]…", more=more, bare=True)


if __name__ == "__main__":
    raise SystemExit(main())
