"""ivr-sim: an IVR simulator and telephony test harness for payments by telephone with Openpay."""

__version__ = "0.1.0"
