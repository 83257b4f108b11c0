"""The command line ``mlseqm`` and its commands ``info`` and ``models``.

Exit codes: 0 all well; 1 something did not converge; 2 bad input (what could be computed was);
130 interrupted, by SIGTERM as by Ctrl-C (what was computed until then is written).
"""

from __future__ import annotations

import contextlib
import io
import json
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from ase.calculators.calculator import CalculatorSetupError

from .. import __version__
from ..errors import InputError
from ..summary import ARGUMENTS
from ..workflows.ts import TSConfig
from .command import JSON, workflow_command
from .committee import committee
from .explain import explain
from .label import register as register_label
from .md import MDOptions, md
from .phonons import PhononsOptions, phonons
from .points import PointOptions, RelaxOptions, relax, sp
from .reactions import NEBOptions, neb, ts
from .train import train
from .transferability import register as register_transferability
from .vibrations import ThermoOptions, VibOptions, thermo, vib

app = typer.Typer(
    name="mlseqm",
    help="Quantum chemistry of molecules: a learned Hamiltonian (HIP-NN on PM3), MNDO, AM1, PM3.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"mlseqm {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", is_eager=True, callback=_tell_version
        ),
    ] = False,
) -> None:
    pass


@app.command()
def info(json_: JSON = False) -> None:
    """Show versions, devices, and the methods with their elements."""
    import torch

    from ..nddo.parameters import METHODS, supported, symbols
    from ..summary import versions

    names = symbols()
    methods = {m: [names[z] for z in sorted(supported(m))] for m in METHODS}
    devices = {"cpu": f"{torch.get_num_threads()} threads"}
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            devices[f"cuda:{index}"] = torch.cuda.get_device_name(index)
    if json_:
        print(json.dumps({"versions": versions(), "methods": methods, "devices": devices}))
        return
    from ..runs.report import console, info_table

    console().print(info_table(versions(), methods, devices))


@app.command()
def models(json_: JSON = False) -> None:
    """List the learned models that are installed, with their errors."""
    from ..models import installed, model_file

    files = {name: model_file(name) for name in installed()}
    if json_:
        cards = {name: {"sha256": f.sha256} | f.card for name, f in files.items()}
        print(json.dumps(cards))
        return
    from ..runs.report import console, models_table

    console().print(models_table(files))


workflow_command(app, sp, PointOptions)
workflow_command(app, relax, RelaxOptions, aliases={"max_steps": "--steps"})
register_label(app)
app.command()(train)
app.command()(committee)
app.command()(explain)
workflow_command(app, md, MDOptions)
workflow_command(app, vib, VibOptions)
workflow_command(app, thermo, ThermoOptions)
workflow_command(app, phonons, PhononsOptions)
workflow_command(
    app,
    neb,
    NEBOptions,
    files="REACTANT and PRODUCT: the same atoms in the same order.",
    required=False,
)
workflow_command(
    app,
    ts,
    TSConfig,
    files="Guesses, or NAME_path.extxyz of neb, whose highest image is refined.",
)
register_transferability(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    ARGUMENTS[:] = sys.argv[1:] if arguments is None else arguments
    _told.clear()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may not have all letters
            stream.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings(), _terminable():
        warnings.showwarning = _warn
        return _main()


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM is Ctrl-C: what was done is written before the scheduler of a cluster kills."""
    in_charge = threading.current_thread() is threading.main_thread()  # of signals
    if not in_charge or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # some send it twice
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _main() -> int:
    try:
        code = app(args=ARGUMENTS or ["--help"], prog_name="mlseqm", standalone_mode=False)
    except (InputError, CalculatorSetupError) as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return _refuse(f"{error.filename or 'output'}: {error.strerror or error}")
    except Exception as error:
        # typer raises click's exceptions, from click or from its own copy of it
        if type(error).__name__ == "Abort":
            return 130
        if not hasattr(error, "format_message"):
            raise
        return _refuse(error.format_message())
    return code if isinstance(code, int) else 0


_told: set[str] = set()


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """One line, as everything else that is said beside the results, and once in a run."""
    sentence = " ".join(str(message).split())
    if sentence not in _told:
        _told.add(sentence)
        print(f"mlseqm: warning: {sentence}", file=sys.stderr)


def _refuse(sentence: str) -> int:
    print(f"mlseqm: {' '.join(sentence.split())}", file=sys.stderr)
    return 2
