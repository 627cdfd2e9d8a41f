"""Options that several commands share."""

from __future__ import annotations

import click

from dtmf.standards import PROFILES

__all__ = ["keys", "profile"]

keys = click.option(
    "--keys", type=click.Choice(["12", "16"]), default="16", show_default=True, help="Without or with A to D."
)
profile = click.option(
    "--profile",
    default="default",
    show_default=True,
    type=click.Choice(list(PROFILES), case_sensitive=False),
    help="Whose limits.",
)
