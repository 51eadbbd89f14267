"""``python -m plugin_bridge`` is ``stembridge``."""


def main() -> None:
    """The command line, loaded when it runs: worker processes load this module, and need no commands."""
    from plugin_bridge.cli import main as commands

    commands(prog_name="stembridge")


if __name__ == "__main__":
    main()
