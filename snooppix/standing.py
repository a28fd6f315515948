"""How our credential stands with the archive: told once when it changes, and counted down before it ends."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from dbclient.schema import Level
from snooppix.credentials import Credential
from snooppix.validity import Countdown
from terapix.metrics import Metrics

RESUMED: Final = "credential-resumed"
"""Kind of the event that tells the end of a pause."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event to be written."""

    kind: str
    message: str
    level: Level


class Standing:
    """Watches one credential."""

    def __init__(self, credential: Credential) -> None:
        self.credential = credential
        self.days_left: float | None = None
        self._refused: str | None = None
        self._countdown = Countdown()

    def look(self, now: datetime) -> list[Told]:
        """Compare with the last look; give what is to be told."""
        self.days_left = self.credential.days_left(now)
        return [*self._accepted(), *self._lasting()]

    def _accepted(self) -> list[Told]:
        kind = self.credential.kind
        refused = self.credential.refused if self.credential.paused else None
        before, self._refused = self._refused, refused
        if refused == before:
            return []
        if refused is None:
            return [Told(RESUMED, f"the archive's {kind} is used again", Level.INFO)]
        message = (
            f"the archive's {kind} is paused: {refused}; what is public still comes, what needs it waits "
            f"until {self.credential.path} changes or an operator asks for a frame again"
        )
        return [Told("credential-refused", message, Level.ERROR)]

    def _lasting(self) -> list[Told]:
        left = self.days_left
        due = self._countdown.due(left)
        if due is None:
            return []
        path = self.credential.path
        if due <= 0:
            return [Told("credential-over", f"the archive's certificate in {path} has ended: renew it", Level.ERROR)]
        return [Told("credential-ends", f"the certificate in {path} ends in {left:.1f} days: renew it", Level.WARNING)]

    @property
    def figures(self) -> dict[str, Any]:
        """What the page shows."""
        known = self.credential.path is not None
        return {
            "credential_kind": self.credential.kind if known else None,
            "credential_days_left": None if self.days_left is None else round(self.days_left, 2),
            "credential_refused": self._refused,
        }

    def measure(self, metrics: Metrics) -> None:
        """Write the figures for Prometheus."""
        if self.days_left is not None:
            gauge = metrics.gauge("terapix_credential_days_left", "Days until the archive's certificate ends")
            gauge.set(self.days_left)
        paused = metrics.gauge("terapix_credential_paused", "1 while the archive does not accept our credential")
        paused.set(self._refused is not None)
