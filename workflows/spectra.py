"""Spectra from trajectories: of the velocities, and of the dipole moment (infrared).

Both are spectral densities S of a signal x: the cosine transform of its autocorrelation function
(Wiener-Khinchin), which is averaged over all time origins, cut at the longest lag by a Hann window
and padded with zeros, scaled such that the integral of S over the wavenumber is the mean of x^2.

Velocity Verlet turns a harmonic oscillator of the angular frequency w by sin(w' h/2) = w h/2: its
lines are (w h)^2/24 too high.  With the time step given the axis is corrected for it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from ase import units
from scipy.fft import irfft, next_fast_len, rfft

from ase_mlseqm.errors import InputError
from ase_mlseqm.units import INFRARED, SPEED_OF_LIGHT
from ase_mlseqm.wholefile import named_errors


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """A spectrum and what it is.

    Attributes
    ----------
    wavenumbers : (W,) array
        1/cm, ascending from zero.
    intensities : (W,) array
    name, unit : str
        Of ``intensities``.
    resolution : float
        Full width at half maximum of an infinitely sharp line, 1/cm.
    """

    wavenumbers: np.ndarray
    intensities: np.ndarray
    name: str
    unit: str
    resolution: float

    def peaks(self, threshold: float = 0.05) -> np.ndarray:
        """Wavenumbers of the maxima above ``threshold`` times the highest, ascending."""
        y = self.intensities
        inner = (y[1:-1] > y[:-2]) & (y[1:-1] >= y[2:]) & (y[1:-1] > threshold * y.max())
        k = inner.nonzero()[0] + 1
        # vertex of the parabola through three points
        shift = 0.5 * (y[k - 1] - y[k + 1]) / (y[k - 1] - 2.0 * y[k] + y[k + 1])
        return self.wavenumbers[k] + shift * (self.wavenumbers[k + 1] - self.wavenumbers[k])

    def write(self, path: str | Path) -> None:
        """CSV with two columns."""
        table = np.column_stack((self.wavenumbers, self.intensities))
        header = f"wavenumber_1/cm,{self.name.replace(' ', '_')}_{self.unit.replace(' ', '*')}"
        with named_errors(Path(path)):
            np.savetxt(path, table, fmt=("%.4f", "%.8g"), delimiter=",", header=header, comments="")


def power_spectrum(
    velocities: np.ndarray,
    masses: np.ndarray,
    interval: float,
    temperature: float,
    *,
    resolution: float = 10.0,
    timestep: float | None = None,
) -> Spectrum:
    """Spectrum of the mass-weighted velocities: a classical vibrational density of states.

    Its integral is the number of degrees of freedom that hold k T / 2 each: one for every vibration
    of an equilibrated trajectory.

    Parameters
    ----------
    velocities : (T, A, 3) array
        At equally spaced times, in ASE's unit.
    masses : (A,) array
        amu.
    interval : float
        Time between two of them, fs.
    temperature : float
        K.
    resolution : float
        Width of a sharp line, 1/cm; limited by the length of the trajectory.
    timestep : float, optional
        Of velocity Verlet, fs: corrects the wavenumbers for it.
    """
    _check(np.asarray(velocities), interval, resolution, temperature)
    signal = np.asarray(velocities) * np.sqrt(np.asarray(masses))[:, None]
    signal = signal.reshape(len(signal), -1) / np.sqrt(units.kB * temperature)
    x, y, width = _density(signal, interval, resolution, timestep)
    return Spectrum(x, y, "power", "cm", width)


def ir_spectrum(
    dipoles: np.ndarray,
    interval: float,
    temperature: float,
    *,
    resolution: float = 10.0,
    timestep: float | None = None,
) -> Spectrum:
    """Infrared absorption from the autocorrelation of the dipole moment's time derivative.

    This is the classical line shape times the harmonic quantum correction factor
    b h nu / (1 - exp(-b h nu)), b = 1/(k T) (Ramirez, Lopez-Ciudad, Kumar and Marx, J. Chem. Phys.
    121 (2004) 3973): in the harmonic limit a band's integral is the intensity of the double
    harmonic approximation at any temperature.

    Parameters
    ----------
    dipoles : (T, 3) array
        e*Angstrom, at equally spaced times.
    interval, temperature, resolution, timestep
        As for :func:`power_spectrum`.

    Returns
    -------
    Spectrum
        Molar absorption (natural logarithm), km/mol per 1/cm, that is km cm/mol.
    """
    dipoles = np.asarray(dipoles)
    _check(dipoles, interval, resolution, temperature, 18)  # their differences are two fewer
    step = interval * units.fs
    slopes = (dipoles[2:] - dipoles[:-2]) / (2.0 * step * np.sqrt(units.kB * temperature))
    x, y, width = _density(slopes, interval, resolution, None)
    # central differences shrink an oscillation by sin(w h) / (w h)
    phase = 2.0 * np.pi * SPEED_OF_LIGHT * interval * x
    keep = phase < 0.9 * np.pi
    x, y = x[keep], y[keep] / np.sinc(phase[keep] / np.pi) ** 2
    if timestep is not None:
        x, y = _undo_verlet(x, y, timestep)
    return Spectrum(x, INFRARED * y, "absorption", "km cm/mol", width)


def _density(
    signal: np.ndarray, interval: float, resolution: float, timestep: float | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Wavenumbers, spectral density summed over the columns of (T, k), and its line width."""
    signal = signal - signal.mean(0)
    # a Hann window of half-length L in time is 1/(L c) wide at half maximum in wavenumbers
    longest = min(len(signal) // 2, max(1, round(1.0 / (resolution * SPEED_OF_LIGHT * interval))))
    width = 1.0 / (longest * SPEED_OF_LIGHT * interval)
    n = next_fast_len(2 * len(signal), real=True)
    power = (np.abs(rfft(signal, n, axis=0)) ** 2).sum(1)
    correlation = irfft(power, n)[: longest + 1] / (len(signal) - np.arange(longest + 1))
    window = 0.5 * (1.0 + np.cos(np.pi * np.arange(longest + 1) / longest))
    padded = np.zeros(next_fast_len(16 * longest, real=True))
    padded[: longest + 1] = correlation * window
    padded[-longest:] = padded[longest:0:-1]
    spacing = 1.0 / (len(padded) * SPEED_OF_LIGHT * interval)
    # one side only, hence twice
    density = 2.0 * rfft(padded).real * SPEED_OF_LIGHT * interval
    x = spacing * np.arange(len(density))
    if timestep is not None:
        x, density = _undo_verlet(x, density, timestep)
    return x, density, width


def _undo_verlet(
    x: np.ndarray, density: np.ndarray, timestep: float
) -> tuple[np.ndarray, np.ndarray]:
    """Wavenumbers and density of the exact motion from those of velocity Verlet's."""
    half = np.pi * SPEED_OF_LIGHT * timestep
    keep = half * x < 0.45 * np.pi
    x, density = x[keep], density[keep]
    return np.sin(half * x) / half, density / np.cos(half * x)


def _check(
    signal: np.ndarray, interval: float, resolution: float, temperature: float, least: int = 16
) -> None:
    if len(signal) < least:
        raise InputError(f"{len(signal)} frames are too few for a spectrum: give {least} or more")
    if not np.isfinite(signal).all():
        raise InputError("the trajectory holds numbers that are not finite")
    positive = {"interval": interval, "resolution": resolution, "temperature": temperature}
    for name, value in positive.items():
        if not 0.0 < value < float("inf"):
            raise InputError(f"{name} is {value}: give a positive number")
