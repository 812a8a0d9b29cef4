#!/bin/sh
# Compile the kernels for 64-bit ARM, run them under qemu, and compare what they compute with what they compute here.
#
#     sh tests/native/arm64.sh        (Debian: apt-get install g++-aarch64-linux-gnu qemu-user; PYTHON names an interpreter)
#
# Here `make test` holds the same kernels against plain ops and PyTorch; ARM rounds differently only where it fuses a
# multiplication with an addition, and an integer of 16 bits may then be the next one.
set -eu
cd "$(dirname "$0")/../.."
folder=build/arm64
mkdir -p "$folder"

for compiler in g++ aarch64-linux-gnu-g++; do
    $compiler -std=c++17 -O3 -Wall -Wextra -Werror -static -Inative tests/native/kernel_numbers.cpp native/kernels/generic.cpp \
        -o "$folder/$compiler"
done
"$folder/g++" >"$folder/here"
qemu-aarch64 "$folder/aarch64-linux-gnu-g++" >"$folder/arm64"

"${PYTHON:-python3}" - "$folder/here" "$folder/arm64" <<'END'
import sys

TOLERANCE = {"product16": 1e-3, "outer16": 1e-3}  # of the largest value of a kind; else 1e-5
read = lambda path: [(name, float(value)) for name, value in map(str.split, open(path))]
here, there = map(read, sys.argv[1:])
assert [name for name, _ in here] == [name for name, _ in there]
for kind in dict.fromkeys(name for name, _ in here):
    pairs = [(one, other) for (name, one), (_, other) in zip(here, there) if name == kind]
    error = max(abs(one - other) for one, other in pairs) / max(abs(one) for one, _ in pairs)
    print(f"{kind:14} {len(pairs):7,} values   largest difference {error:.1e} of the largest value")
    if not error <= TOLERANCE.get(kind, 1e-5):
        sys.exit(f"{kind}: ARM computes something else")
END
