"""Network that says whose face is shown; `MODEL_CARD.md` says more."""
