"""Makes the .npy and .npz files that the tests read, and says in two manifests what is in them.

    python testdata/make.py            # writes valid/ and hostile/ anew
    python testdata/make.py --check    # fails if they are not, byte for byte, what it would write

`valid/manifest.txt` is what NumPy itself reads out of the files, so a test that compares against it compares
against NumPy. `hostile/manifest.txt` says at which byte each file goes wrong, and how. The bytes depend on no
clock, no random number and no path; they need NumPy 2 on a machine whose `long double` takes 16 bytes.
"""

import argparse
import sys
from pathlib import Path

from hostile_files import hostile_files
from valid_files import valid_files

HERE = Path(__file__).parent


def check(directory: Path, files: dict[str, bytes]) -> list[str]:
    """What differs between the files in `directory` and `files`, one line each."""
    found = {path.name: path.read_bytes() for path in directory.iterdir()}
    return [
        f"{directory.name}/{name}: expected {describe(files.get(name))}, found {describe(found.get(name))}"
        for name in sorted(files.keys() | found.keys())
        if files.get(name) != found.get(name)
    ]


def describe(content: bytes | None) -> str:
    """The size of `content`, for a message."""
    return "no file" if content is None else f"{len(content)} bytes, other than these"


def write(directory: Path, files: dict[str, bytes]) -> None:
    """Makes `directory` hold `files` and nothing else."""
    directory.mkdir(exist_ok=True)
    for path in directory.iterdir():
        path.unlink()
    for name, content in files.items():
        (directory / name).write_bytes(content)


def main() -> int:
    """Writes both directories, or checks them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    only_check = parser.parse_args().check
    differences = []
    for name, files in (("valid", valid_files()), ("hostile", hostile_files())):
        if only_check:
            differences += check(HERE / name, files)
        else:
            write(HERE / name, files)
            print(f"{name}: {len(files) - 1} files and manifest.txt")
    print("\n".join(differences), end="\n" if differences else "", file=sys.stderr)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
