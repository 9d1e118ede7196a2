"""The embedded model; `MODEL_CARD.md` says what it is."""
