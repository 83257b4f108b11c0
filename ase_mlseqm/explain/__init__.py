"""What a learned Hamiltonian has learned: parameters of atoms, by their chemical environment."""
