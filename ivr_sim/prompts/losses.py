"""Losses put back in their places: packets heard one after the other make a call too short."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ivr_sim.media.g711 import FRAME_SAMPLES, Samples

__all__ = ["with_losses"]


def with_losses(arrived: Samples, lost: Sequence[bool]) -> Samples:
    """What was sent, with 20 ms of silence for each packet that was lost.

    arrived: the packets that came, int16, shape (160 * n,). lost: for every packet that was sent, in order,
    whether it was lost; a receiver knows by the packets' times. Raises ValueError if the two do not fit.
    """
    came = ~np.asarray(lost, bool)
    if len(arrived) != FRAME_SAMPLES * np.count_nonzero(came):
        raise ValueError(
            f"{np.count_nonzero(came)} of {len(came)} packets came, which are not {len(arrived)} samples"
        )
    sent = np.zeros((len(came), FRAME_SAMPLES), np.int16)
    sent[came] = arrived.reshape(-1, FRAME_SAMPLES)
    return sent.reshape(-1)
