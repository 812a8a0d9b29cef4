#include "model/truncation.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <unistd.h>

namespace localft {

namespace {

// What the handler reads lies still: it may run while anything else is half done.
char                  words[8192];
volatile sig_atomic_t n_words, code, installed;
struct sigaction      before;

void handle(int, siginfo_t * info, void *) {
    if (info->si_code != BUS_ADRERR) {
        sigaction(SIGBUS, &before, nullptr); // the access is tried again, and faults again
        return;
    }
    (void) !write(STDERR_FILENO, words, (size_t) n_words);
    _exit(code);
}

} // namespace

void on_truncation(const std::string & last_words, int exit_code) {
    n_words = 0;
    std::memcpy(words, last_words.data(), std::min(last_words.size(), sizeof words));
    n_words = (sig_atomic_t) std::min(last_words.size(), sizeof words);
    code    = exit_code;
    if (installed) return;
    struct sigaction action = {};
    action.sa_sigaction     = handle;
    action.sa_flags         = SA_SIGINFO;
    installed               = sigaction(SIGBUS, &action, &before) == 0;
}

} // namespace localft
