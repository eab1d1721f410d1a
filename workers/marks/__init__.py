"""What a clip carries: the keyed mark and signed credentials. Signal processing only."""
