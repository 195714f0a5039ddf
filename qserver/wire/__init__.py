"""The wire's terminals: bytes to lines (`framing`), lines to words and back (`words`)."""
