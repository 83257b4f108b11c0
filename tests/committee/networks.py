"""Networks that disagree."""

import numpy as np
from helpers import TIGHT
from learned import learned

from ase_mlseqm import Engine
from ase_mlseqm.committee import Committee

ASKED = ("energy", "density", "uncertainty")


def network(seed):
    return learned(std=0.1, seed=seed)


def engine_of(*members, scale=1.0, limit=np.inf, scf=TIGHT):
    return Engine(network(0), scf=scf, committee=Committee(members, scale, limit))
