"""The overrides in this folder know the insides of one version of Faust; another one is refused before it can do
harm.
"""

from __future__ import annotations

from importlib.metadata import version

FAUST = "0.15.3"
AIOKAFKA = "0.14."


class IncompatibleVersionError(Exception):
    """An installed library is not the one that the engine was tested with."""


def check_versions() -> None:
    """Refuse to start on another Faust or aiokafka.

    Raises:
        IncompatibleVersionError: with the versions and the repair.
    """
    faust, aiokafka = version("faust-streaming"), version("aiokafka")
    if faust != FAUST:
        raise IncompatibleVersionError(
            f"faust-streaming {faust} is installed; the engine overrides parts of {FAUST}, its only tested version. "
            f"Install faust-streaming=={FAUST}."
        )
    if not aiokafka.startswith(AIOKAFKA):
        raise IncompatibleVersionError(f"aiokafka {aiokafka} is installed; install aiokafka=={AIOKAFKA}*.")
