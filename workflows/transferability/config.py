"""Settings of the tests of transferability."""

from __future__ import annotations

import dataclasses

from ase_mlseqm.errors import InputError
from ase_mlseqm.options import check_types, require_not_negative, require_positive

PEERS = ("gfn2",)


@dataclasses.dataclass(frozen=True)
class TransferabilityConfig:
    """Settings of the tests of transferability."""

    tests: tuple[str, ...] = ()
    """Tests to run; default: all that the data allow."""
    model: tuple[str, ...] = ()
    """Names or files of learned models; default, without a method: hipnn-pm3."""
    method: tuple[str, ...] = ()
    """MNDO, AM1 or PM3, to stand beside the models; default, without a model: PM3."""
    peer: tuple[str, ...] = ()
    """Methods of other programs: gfn2 (GFN2-xTB by tblite)."""
    dispersion: tuple[str, ...] = ()
    """Corrections such as wb97x-d3bj: all models and methods once more with each of them."""
    level: str | None = None
    """Labelled frames: level of theory of files that do not state it."""
    units: str | None = None
    """Labelled frames: units of files that do not state them: hartree or ev, or all of them as in
    'hartree, bohr, hartree/bohr'."""
    isolated: tuple[str, ...] = ()
    """Labelled frames: energies of isolated atoms, Hartree, as in F=-99.7, where they are not known
    of the level."""
    gradients: bool = False
    """Labelled frames: the files hold gradients instead of forces."""
    device: str = "cpu"
    """Of the models and methods of this package: cpu or cuda."""
    worst: int = 3
    """Worst cases that the report shows, of every method in every test."""
    samples: int = 2000
    """Bootstrap samples behind an interval."""
    seed: int = 0
    """Of the bootstrap, of random choices and of initial velocities."""
    relax_scans: bool = True
    """Torsions: relax with the dihedral held, too, where the labels are relaxed."""
    zero_point: bool = True
    """Reactions: add a zero-point energy to barriers whose reference has one (never to those of
    MNDO, AM1 and PM3, which contain it)."""
    max_reactions: int = 200
    """Reactions: random choice from larger sets; 0: all."""
    max_refined: int = 3
    """Reactions: so many of them, chosen at random, also at the stationary points of each method
    (transition state refined, ends relaxed); 0: none."""
    refine_steps: int = 200
    """Reactions: steps after which such a refinement, relaxation or either side of a reaction
    coordinate is given up."""
    irc: bool = True
    """Reactions: follow refined transition states down both sides, to see what they connect."""
    max_paths: int = 3
    """Reactions: so many of them, chosen at random, also by a path between their ends (nudged
    elastic band); 0: none."""
    path_images: int = 9
    """Reactions: structures on such a path, both ends included."""
    path_steps: int = 200
    """Reactions: steps after which a path is given up."""
    md_molecules: int = 2
    """Dynamics: the so many largest molecules."""
    md_steps: int = 2000
    """Dynamics: steps."""
    md_timestep: float = 0.5
    """Dynamics: time step, fs."""
    md_temperature: float = 300.0
    """Dynamics: of the initial velocities, K."""
    max_atoms: int = 400
    """Scaling: atoms of the largest alkane."""
    max_seconds: float = 60.0
    """Scaling: time of one energy with forces after which no larger molecule is tried, s."""

    def __post_init__(self) -> None:
        check_types(self)
        require_positive(self, "samples", "max_atoms", "max_seconds")
        require_positive(self, "md_molecules", "md_steps", "md_timestep", "md_temperature")
        require_positive(self, "refine_steps", "path_steps")
        require_not_negative(self, "worst", "seed", "max_reactions", "max_refined", "max_paths")
        if self.path_images < 3:
            raise InputError(f"path_images is {self.path_images}: give 3 or more, with both ends")
        if self.isolated:
            from ase_mlseqm.training.isolated import given_energies  # --help does not need it

            given_energies(self.isolated)
        for name in self.peer:
            if name.lower() not in PEERS:
                raise InputError(f"unknown peer {name!r}: choose from {', '.join(PEERS)}")
