"""The one exception of the engine."""


class InputError(ValueError):
    """The input cannot be computed; the message is one sentence that says what to do.

    The ASE calculator raises :class:`ase.calculators.calculator.InputError` with the same text.
    """
