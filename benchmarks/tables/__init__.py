"""The documents' tables of measured figures, made from the committed results."""
