"""Tests of transferability: systems and properties that a model was not trained on.

The list of the tests is :data:`ase_mlseqm.workflows.transferability.registry.TESTS`.
"""
