"""Sagas: every wait is a row, so a crash at any point continues from it."""
