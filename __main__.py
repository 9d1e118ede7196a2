"""`python -m reverie`: the same as the command `reverie`."""

from .cli.main import run

if __name__ == "__main__":
    run()
