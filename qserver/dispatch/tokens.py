"""The secrets that let clients in."""

import hashlib
from collections.abc import Iterable


class Tokens:
    """Some secrets, any of which will do; with none, everybody is let in.

    Only their digests are kept, and digests are compared: how long that takes tells nobody how much
    of a guess was right.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._digests = {_digest(secret) for secret in secrets}

    def __len__(self) -> int:
        return len(self._digests)

    def __contains__(self, secret: str) -> bool:
        return _digest(secret) in self._digests


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
