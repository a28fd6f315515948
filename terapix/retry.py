"""How long to wait before another try."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that grow from try to try, as values."""

    first: float
    """Seconds before the second try."""
    factor: float
    """By how much each wait is longer than the one before."""
    ceiling: float
    """Seconds that no wait exceeds (before jitter)."""
    attempts: int
    """Tries after which to give up."""

    def __post_init__(self) -> None:
        if self.first <= 0 or self.factor < 1 or self.ceiling < self.first or self.attempts < 1:
            raise ValueError(f"{self} is no backoff: first > 0, factor >= 1, ceiling >= first, attempts >= 1")

    def delay(self, attempt: int, *, jitter: float = 0.0) -> float:
        """Give the seconds to wait after try number `attempt` (1, 2, …) has failed.

        Parameters
        ----------
        attempt : int
            The try that failed, from 1.
        jitter : float
            Share by which the wait is stretched, 0 to 1, drawn by the caller's random generator.
        """
        if attempt < 1:
            raise ValueError(f"attempt {attempt}: tries are counted from 1")
        try:
            grown = min(self.ceiling, self.first * float(self.factor) ** (attempt - 1))
        except OverflowError:
            grown = self.ceiling
        return grown * (1.0 + jitter)

    def spent(self, attempt: int) -> bool:
        """Tell whether try number `attempt` was the last."""
        return attempt >= self.attempts
