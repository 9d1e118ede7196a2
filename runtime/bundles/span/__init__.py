"""Networks that enlarge frames; `MODEL_CARD.md` says more."""
