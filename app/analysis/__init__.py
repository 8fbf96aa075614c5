"""What a study found: computed when it is unblinded, never before."""
