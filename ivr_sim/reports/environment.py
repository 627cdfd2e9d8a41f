"""What ivr-sim runs on: versions, for reports."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

__all__ = ["versions"]

PACKAGES = ("Twisted", "pyVoIP", "numpy", "pydantic", "SQLAlchemy", "Flask", "pillow", "py-nanotts")


def versions() -> dict[str, str]:
    """Names and versions: ivr-sim, Python, the platform, and the packages that matter to a call."""
    found = {
        "ivr-sim": _version("ivr-sim"),
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": f"{platform.platform()} ({sys.platform})",
    }
    return found | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
