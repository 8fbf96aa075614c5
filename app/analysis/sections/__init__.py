"""The parts of the analysis, one a key of its JSON; each is a pure function of the same rows."""
