"""Processes that kill themselves when the engine has computed so many molecules."""

import os
import signal
import subprocess
import sys
import textwrap

START = """
    import os, signal, sys
    from ase_mlseqm import displaced
    from ase_mlseqm.cli import app as cli
    from ase_mlseqm.engine import Engine
    from ase_mlseqm.workflows import checkpoints
    left, run = int(sys.argv[1]), Engine.run
    def killed(self, molecules, *args, **keywords):
        global left
        left -= len(molecules)
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return run(self, molecules, *args, **keywords)
    Engine.run = killed
    # checkpoints after every step
    checkpoints.SECONDS = 0.0
    displaced.FIRST, displaced.PART_SECONDS = 5e4, 0.0
"""
COMMAND = "cli.main(sys.argv[2:])"


def killed(folder, molecules, *words, code=COMMAND):
    """Run the command line, or other code, with these words in a folder until it is killed."""
    program = textwrap.dedent(START) + textwrap.dedent(code)
    line = [sys.executable, "-c", program, str(molecules), *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    job = subprocess.run(line, cwd=folder, env=environment, check=False, capture_output=True)
    assert job.returncode == -signal.SIGKILL, job.stderr
