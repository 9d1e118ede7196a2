"""Network that draws frames between two others; `MODEL_CARD.md` says more."""
