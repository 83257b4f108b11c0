"""Fine-tuning of the learned model on data of one's own; AM1 stands for these here.

An extended XYZ file with energies (eV) and forces (eV/Angstrom) is all that is needed; isolated
atoms among the frames say where the zero of the energy is.
"""

import dataclasses
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from ase_mlseqm import evaluate
from ase_mlseqm.models import model_file
from ase_mlseqm.training.presets import preset, starting_from
from ase_mlseqm.training.run import DataOptions, train

rng = np.random.default_rng(0)
names = ["H2O", "CH3OH", "H2CO", "CH3CH2OH", "CH3OCH3", "CH4", "C2H6"] * 4
frames = [Atoms(symbol) for symbol in "HCO"] + [molecule(name) for name in names]
frames += [molecule("CH3CHO") for _ in range(5)]  # these are for the test
for atoms in frames:
    atoms.positions += rng.normal(scale=0.06, size=atoms.positions.shape)
for atoms, label in zip(frames, evaluate(frames, "AM1"), strict=True):
    atoms.calc = SinglePointCalculator(atoms, energy=label.energy, forces=label.forces)
data, test = frames[:-5], frames[-5:]
write("own.extxyz", data)
config = starting_from(preset("fine-tune"), model_file("hipnn-pm3").model.config)
config = dataclasses.replace(config, epochs=8, batch_size=4, validation_fraction=0.3)
tuned = train(config, ["own.extxyz"], Path("tuned"), options=DataOptions("AM1"), start="hipnn-pm3")
levels = {"PM3": {"method": "PM3"}, "hipnn-pm3": {}, "fine-tuned": {"model": str(tuned.model)}}
for level, options in levels.items():
    forces = [result.forces for result in evaluate(test, **options)]
    error = np.abs(np.array(forces) - [atoms.get_forces() for atoms in test]).mean()
    print(f"{level:10s} mean error of the forces of acetaldehyde {error:.3f} eV/Angstrom")
