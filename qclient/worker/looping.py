"""Is the event loop turning? A question, an answer, and the time between them.

Another thread asks; the loop answers when it has its next turn. `now` is an argument.
"""


class LoopWatch:
    """How long a loop has owed an answer.

    Args:
        blocked_s: it counts as blocked after so long, and that is news.
        dead_s: it counts as dead after so long.
    """

    def __init__(self, blocked_s: float, dead_s: float) -> None:
        self.period_s = blocked_s / 2
        self._blocked_s = blocked_s
        self._dead_s = dead_s
        self._asked_at: float | None = None
        self._told_s = 0.0

    def ask(self, now: float) -> bool:
        """Whether to ask: not while an answer is owed."""
        if self._asked_at is not None:
            return False
        self._asked_at = now
        return True

    def answer(self) -> None:
        """The loop has turned."""
        self._asked_at = None
        self._told_s = 0.0

    def blocked_s(self, now: float) -> float:
        """For how long it has owed an answer."""
        asked_at = self._asked_at
        return 0.0 if asked_at is None else now - asked_at

    def is_news(self, now: float) -> bool:
        """Whether to say that it is blocked: at first, then each time that doubles."""
        blocked_s = self.blocked_s(now)
        if blocked_s < max(self._blocked_s, self._told_s * 2):
            return False
        self._told_s = blocked_s
        return True

    def is_dead(self, now: float) -> bool:
        """Whether it has been blocked for too long to be believed in."""
        return self.blocked_s(now) > self._dead_s
