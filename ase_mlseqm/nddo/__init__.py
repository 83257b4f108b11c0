"""The NDDO Hamiltonians MNDO, AM1 and PM3: parameters, integrals, Fock matrix and energy."""
