#!/bin/sh
# Build the native module with the address and undefined-behaviour sanitizers, and run tests/native through it.
#
#     sh tests/native/sanitize.sh [pytest arguments]        (Linux, GCC, CMake; PYTHON names the venv's interpreter)
#
# The module goes into a virtual environment of its own under build/sanitize, on top of the packages that PYTHON has.
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
root=$PWD/build/sanitize
venv=$root/venv

"$python" -m venv --without-pip --clear "$venv"
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# A path file names the packages without running their own path files, so localft's editable install stays out.
"$python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))' >"$site/base.pth"
cp -R localft "$site/localft"

cmake -S . -B "$root/build" -DLOCALFT_SANITIZE=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPython_EXECUTABLE="$venv/bin/python" >/dev/null
cmake --build "$root/build" --parallel "${JOBS:-2}"
cmake --install "$root/build" --prefix "$site" >/dev/null

# The interpreter is not instrumented, so the runtimes come first; C++ exceptions need libstdc++ known to them.
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so.6)"
ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
UBSAN_OPTIONS=halt_on_error=1
GGML_NO_BACKTRACE=1
LOCALFT_SANITIZED=1
export LD_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS GGML_NO_BACKTRACE LOCALFT_SANITIZED
# pytest by its script, as -m would put the checkout's own localft first; a report is written by a process that dies
# at once, so pytest must not hold it back.
exec "$venv/bin/python" "$(dirname "$python")/pytest" --capture=sys -p no:cacheprovider --timeout 1200 "$@" tests/native
