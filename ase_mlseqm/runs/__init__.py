"""What the commands do: read, compute, write, report."""
