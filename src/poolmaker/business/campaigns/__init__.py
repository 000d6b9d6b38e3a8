"""CAMPAIGN ORCHESTRATOR: windows, participation, pause/withdraw drain."""
