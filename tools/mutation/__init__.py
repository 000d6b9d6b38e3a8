"""Mutation testing of the modules that decide about money: does any test see a small mistake?

``python -m tools.mutation`` runs it; ``docs/mutants.md`` names every survivor with its reason.
"""
