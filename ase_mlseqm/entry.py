"""Where the command ``mlseqm`` begins."""


def main() -> int:
    """The exit code of a command; Ctrl-C may come while its modules are imported."""
    try:
        from .cli.app import main as command

        return command()
    except KeyboardInterrupt:
        return 130
