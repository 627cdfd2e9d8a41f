"""``python -m ivr_sim`` is the command ``ivr-sim``."""

from ivr_sim.cli import main

if __name__ == "__main__":
    main()
