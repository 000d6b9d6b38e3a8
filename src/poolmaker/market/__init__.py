"""What we do on exchanges. It never imports the business wing."""
