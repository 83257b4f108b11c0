"""The network that gives atoms their parameters."""
