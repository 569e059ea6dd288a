"""The tests, which mirror lbtransport/, and the kit that they share."""
