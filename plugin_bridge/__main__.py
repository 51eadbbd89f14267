"""``python -m plugin_bridge`` is ``stembridge``."""

from plugin_bridge.cli import main

if __name__ == "__main__":
    main(prog_name="stembridge")
