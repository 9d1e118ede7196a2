"""`python -m reverie`: the same as the command `reverie`."""

from reverie.cli.main import run

if __name__ == "__main__":
    run()
