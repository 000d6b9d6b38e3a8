"""Mixin client: deposits in, transfers and withdrawals out, login, bot messages."""
