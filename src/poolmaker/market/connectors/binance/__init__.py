"""Binance spot through ccxt.pro: its transport, signing and sockets, our own parsing and states."""
