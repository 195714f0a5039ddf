"""All that a run has found, written as JSON and read again."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.comparing.bars import is_ours, verdicts
from benchmarks.comparing.driving import Figures, median
from benchmarks.comparing.keeping import Kept
from benchmarks.comparing.plan import Cell
from benchmarks.comparing.race import Key, Medians, Results


@dataclass(frozen=True)
class Report:
    """What was measured, on what, with which versions."""

    about: str
    versions: dict[str, str]
    rounds: int
    results: Results
    kept: list[Kept]

    def medians(self) -> Medians:
        """Of the rounds of each row."""
        return {key: median(rounds) for key, rounds in self.results.items()}

    def write(self, path: Path) -> None:
        """As JSON: medians and every round."""
        found = self.medians()
        said: dict[str, Any] = {
            "about": self.about,
            "versions": self.versions,
            "rounds": self.rounds,
            "cells": [
                {
                    "class": key.durability,
                    "body_bytes": key.body_bytes,
                    "op": key.op,
                    "connections": key.cell.connections,
                    "ahead": key.cell.ahead,
                    "server": key.server,
                    "median": found[key].as_json(),
                    "rounds": [figures.as_json() for figures in rounds],
                }
                for key, rounds in self.results.items()
            ],
            "kept": [one.as_json() for one in self.kept],
            "verdicts": {
                ours: [str(verdict) for verdict in verdicts(self.results, self.kept, ours)]
                for ours in self.versions
                if is_ours(ours)
            },
        }
        path.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Report":
        """What `write` wrote."""
        said = json.loads(path.read_text())
        results = {
            Key(
                each["class"],
                each["body_bytes"],
                each["op"],
                Cell(each["connections"], each["ahead"]),
                each["server"],
            ): [Figures(**figures) for figures in each["rounds"]]
            for each in said["cells"]
        }
        kept = [Kept(**one) for one in said["kept"]]
        return cls(said["about"], said["versions"], said["rounds"], results, kept)
