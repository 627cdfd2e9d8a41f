"""The page that the interop suite writes: what each telephone came to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Report:
    """The rows of docs/interop.md."""

    ORDER = ("register", "call", "pay", "audio", "hold", "hang-up", "cancel", "two", "odd")

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], tuple[str, str]] = {}

    def row(self, client: str, feature: str, result: str, measured: str = "") -> None:
        """What came of one feature of one telephone."""
        self.rows[client, feature] = (result, measured)

    def write(self, path: Path, versions: Mapping[str, str]) -> None:
        """The page; versions: of each telephone, in the order of the page."""
        names = list(versions)

        def place(item: tuple[tuple[str, str], Any]) -> tuple[Any, ...]:
            (client, feature), _ = item
            kind = next((n for n, word in enumerate(self.ORDER) if feature.startswith(word)), len(self.ORDER))
            return (names.index(client) if client in names else len(names), client, kind, feature)

        lines = [
            "# Interoperability",
            "",
            "Written by `make interop`: telephones that this project did not write, against its exchange",
            "and IVR on loopback. SNR is that of a 1004 Hz tone through the whole audio path; G.711 alone",
            "comes to about 38 dB. The odd shapes are what other telephones do differently, one at a time,",
            "byte for byte.",
            "",
            "| client | version | feature | result | measured |",
            "|---|---|---|---|---|",
        ]
        for (client, feature), (result, measured) in sorted(self.rows.items(), key=place):
            lines.append(f"| {client} | {versions.get(client, '')} | {feature} | {result} | {measured} |")
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
