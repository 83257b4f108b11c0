"""Names and conventions of published data sets in HDF5."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from ..errors import InputError
from .blocks import DIPOLE_UNITS, Units, as_text, parse_units

REQUIRED = ("species", "coordinates", "energies", "forces")


@dataclasses.dataclass(frozen=True)
class Published:
    """A layout: its names for ours, and what is known of it.

    Attributes
    ----------
    names : dict
        Ours by those of the layout.
    level, units : str, optional
        As the attributes of a file would state them.
    gradients : bool
        Whether it has gradients in the place of forces.
    """

    names: Mapping[str, str]
    level: str | None = None
    units: str | None = None
    gradients: bool = False

    def renamed(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """What was found, by our names."""
        return {self.names.get(key, key): value for key, value in found.items()}


ANI = Published({"atomic_numbers": "species"} | {key: key for key in REQUIRED})
ANI1X = Published(
    {
        "atomic_numbers": "species",
        "coordinates": "coordinates",
        "wb97x_dz.energy": "energies",
        "wb97x_dz.forces": "forces",
        "wb97x_dz.dipole": "dipoles",
    }
)
"""Smith et al., Sci. Data 7 (2020) 134: what is of wB97X/6-31G*."""
SPICE = Published(
    {
        "atomic_numbers": "species",
        "conformations": "coordinates",
        "dft_total_energy": "energies",
        "dft_total_gradient": "forces",
        "scf_dipole": "dipoles",
    },
    units="hartree, bohr, hartree/bohr, e*bohr",
    gradients=True,
)
"""Eastman et al., Sci. Data 10 (2023) 11."""
TRANSITION1X = Published(
    {
        "atomic_numbers": "species",
        "positions": "coordinates",
        "wB97x_6-31G(d).energy": "energies",
        "wB97x_6-31G(d).forces": "forces",
    },
    level="wB97X/6-31G(d), spherical d functions",
    units="ev, angstrom, ev/angstrom",
)
"""Schreiner et al., Sci. Data 9 (2022) 779: by ORCA, whose isolated atoms are others than ours."""
LAYOUTS = (ANI, ANI1X, SPICE, TRANSITION1X)


def layout_of(names: Collection[str]) -> Published:
    """The layout of which most of what is required is there; the first of several."""

    def there(layout: Published) -> int:
        return sum(layout.names[name] in REQUIRED for name in names if name in layout.names)

    return max(LAYOUTS, key=there)


def stated_units(attributes: Mapping[str, Mapping[str, Any]], where: str) -> Units | None:
    """Units from the attributes ``units`` of datasets (by our names); None where one of energies,
    coordinates and forces has none that is known."""
    texts = {
        key: as_text(value["units"]).replace("elementary_charge", "e").casefold()
        for key, value in attributes.items()
        if "units" in value
    }
    if not {"energies", "coordinates", "forces"} <= set(texts):
        return None
    parts = [texts[key] for key in ("energies", "coordinates", "forces")]
    parts += [text for text in (texts.get("dipoles"),) if text in DIPOLE_UNITS]
    try:
        return parse_units(", ".join(parts), where)
    except InputError:
        return None
