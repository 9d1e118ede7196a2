"""Network that restores old, soft photos; `MODEL_CARD.md` says more."""
