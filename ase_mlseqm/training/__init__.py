"""Training of the learned Hamiltonian: labelled frames, their split, loss and loop."""
