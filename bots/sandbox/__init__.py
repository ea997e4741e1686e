"""Stand-ins on loopback for the three services, so that everything runs without an account."""
