"""`python -m graphrep`: the same commands where the script is not on the path."""

from graphrep.cli.main import main

if __name__ == "__main__":
    main()
