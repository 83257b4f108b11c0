"""Barriers of three reactions beside published ones, from paths of nine images.

Computed ones are electronic, without zero-point energies; PM3's are differences of heats of
formation, whose parameters contain zero-point and thermal energies.  Published are electronic
barriers of HCN (best estimate of DBH24/08: Zheng, Zhao and Truhlar, J. Chem. Theory Comput. 5
(2009) 808) and malonaldehyde (CCSD(T): Wang et al., J. Chem. Phys. 128 (2008) 224314), and of
cyclohexane the measured enthalpy of activation (Anet and Bourn, J. Am. Chem. Soc. 89 (1967) 760).
"""

from pathlib import Path

from ase import Atoms, units
from ase.io import read

from ase_mlseqm import MLSEQM
from ase_mlseqm.workflows.neb import NEBConfig, neb
from ase_mlseqm.workflows.reaction_figures import plot_profile

HERE = Path(__file__).parent
HCN = Atoms("HCN", [(0, 0, -1.06), (0, 0, 0), (0, 0, 1.16)])
HNC = Atoms("HCN", [(0, 0, 2.14), (0, 0, 0), (0, 0, 1.16)])
reactions = {
    "HCN to HNC": ([HCN, HNC], 48.07),
    "proton transfer in malonaldehyde": (read(HERE / "malonaldehyde.xyz", ":"), 4.1),
    "cyclohexane, chair to twist-boat": (read(HERE / "cyclohexane.xyz", ":"), 10.8),
}
print(f"{'barrier, kcal/mol':35s} {'hipnn-pm3':>10s} {'PM3':>10s} {'published':>10s}")
for name, ((reactant, product), published) in reactions.items():
    barriers, problems = [], []
    for method in (None, "PM3"):  # None: the learned model
        path = neb(reactant, product, MLSEQM(method=method), NEBConfig(images=9, fmax=0.1))
        barriers.append(path.barrier * units.mol / units.kcal)
        if not path.converged:
            problems.append(f"  {method or 'hipnn-pm3'}: {path.message}")
        plot_profile(path, f"{name.replace(' ', '_')}_{method or 'hipnn-pm3'}.png", name)
    print(f"{name:35s} {barriers[0]:10.1f} {barriers[1]:10.1f} {published:10.1f}")
    for problem in problems:
        print(problem)
