"""BUSINESS DOMAIN LAYER: what we owe people. It never imports the market wing."""
