"""The study server: blinded studies of original and perturbed images, from batch to result."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
