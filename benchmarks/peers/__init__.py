"""Receivers that this project did not write, with one face: ``digits(samples) -> str``."""
