"""When a run must stop sending and resolve its unknown outcomes first: a pure decision."""

from collections.abc import Callable

__all__ = ["UnknownOutcomes"]

# After this many unknown outcomes in a row, responses are probably lost: resolve the outcomes before sending more.
_MAX_IN_A_ROW = 3
# A round is lost if too many of its responses did not arrive, although the API accepted all of these submissions. After
# this many lost rounds in a row, further submissions would probably be billed without a result.
_MAX_LOST_ROUNDS = 2
# While rows are sent, an outcome stays unknown for at most this many seconds.
_MAX_AGE = 1800.0


class UnknownOutcomes:
    """The unknown outcomes of one run since they were last resolved.

    Args:
        now: returns the seconds of a monotonic clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._in_a_row = 0
        self._has_too_many = False
        self._lost_rounds = 0
        self._since: float | None = None

    @property
    def must_be_resolved(self) -> bool:
        """Whether no row may be sent before the unknown outcomes are resolved."""
        return self._has_too_many or (self._since is not None and self._now() - self._since > _MAX_AGE)

    @property
    def has_too_many(self) -> bool:
        """Whether too many submissions in a row had an unknown outcome since the round began."""
        return self._has_too_many

    @property
    def has_lost_responses(self) -> bool:
        """Whether the API seems to accept submissions whose responses never arrive."""
        return self._lost_rounds >= _MAX_LOST_ROUNDS

    def begin_round(self) -> None:
        """Record that a round of submissions begins."""
        self._in_a_row, self._has_too_many = 0, False

    def record_accepted(self) -> None:
        """Record that a submission was accepted and its response arrived."""
        self._in_a_row = self._lost_rounds = 0

    def record_unknown(self) -> None:
        """Record that the outcome of a submission is unknown."""
        self._in_a_row += 1
        self._has_too_many |= self._in_a_row >= _MAX_IN_A_ROW
        if self._since is None:
            self._since = self._now()

    def begin_resolving(self) -> None:
        """Record that the unknown outcomes are being resolved, which resets their age."""
        self._since = None

    def record_resolution(self, not_accepted: int) -> None:
        """Record the result of resolving the outcomes of a round.

        Args:
            not_accepted: how many of the submissions were not accepted.
        """
        if self._has_too_many:
            self._lost_rounds = 0 if not_accepted else self._lost_rounds + 1
