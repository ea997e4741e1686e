"""Stand-ins for the three services on loopback: everything runs without an account."""
