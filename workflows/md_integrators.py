"""ASE's integrators for dynamics of molecules, and what of their thermostats is worth keeping."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms, units
from ase.md.bussi import Bussi
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.nose_hoover_chain import NoseHooverChainNVT, NoseHooverChainThermostat
from ase.md.verlet import VelocityVerlet

from ase_mlseqm.errors import InputError

from .md_config import MDConfig


def integrator(
    atoms: Atoms, config: MDConfig, freedom: int, rng: np.random.Generator
) -> MolecularDynamics:
    """ASE's integrator of an ensemble; thermostats know how many degrees of ``freedom`` move."""
    time = config.coupling_time * units.fs
    if config.ensemble == "nve":
        return VelocityVerlet(atoms, config.dt)
    if config.ensemble == "langevin":
        friction = config.friction / (1e3 * units.fs)
        return Langevin(
            atoms,
            config.dt,
            temperature_K=config.temperature,
            friction=friction,
            fixcm=False,
            rng=rng,
        )
    if config.ensemble == "bussi":
        bussi = Bussi(atoms, config.dt, config.temperature, time, rng=rng)
        bussi.ndof = freedom
        bussi.target_kinetic_energy = 0.5 * freedom * units.kB * config.temperature
        return bussi
    if atoms.constraints:
        # ASE's chain moves atoms with momenta of its own, which constraints do not see
        raise InputError("nose-hoover does not respect constraints: use bussi or langevin")
    chain = NoseHooverChainNVT(atoms, config.dt, config.temperature, time)
    chain._thermostat = NoseHooverChainThermostat(
        freedom / 3,  # type: ignore[arg-type]
        atoms.get_masses()[:, None],
        config.temperature,
        time,
    )
    return chain


def thermostat(dyn: MolecularDynamics) -> dict[str, Any]:
    """Variables of a thermostat, JSON-able."""
    if isinstance(dyn, Bussi):
        return {"transferred": float(dyn.transferred_energy)}
    if isinstance(dyn, NoseHooverChainNVT):
        chain = dyn._thermostat
        return {"eta": chain._eta.tolist(), "p_eta": chain._p_eta.tolist()}
    return {}


def set_thermostat(dyn: MolecularDynamics, saved: dict[str, Any]) -> None:
    """Put them where :func:`thermostat` found them."""
    if isinstance(dyn, Bussi):
        dyn.transferred_energy = saved["transferred"]
    elif isinstance(dyn, NoseHooverChainNVT):
        chain = dyn._thermostat
        chain._eta, chain._p_eta = np.array(saved["eta"]), np.array(saved["p_eta"])


def conserved(dyn: MolecularDynamics, potential: float) -> float | None:
    """Energy with what the thermostat has taken, eV; None where it is the total energy."""
    if isinstance(dyn, Bussi):
        return potential + float(dyn.atoms.get_kinetic_energy()) - dyn.transferred_energy
    if isinstance(dyn, NoseHooverChainNVT):
        kinetic = float(dyn.atoms.get_kinetic_energy())
        return potential + kinetic + dyn._thermostat.get_thermostat_energy()
    return None
