// A mapped file that is cut short under the process: the kernel says so with SIGBUS, and nothing can go on.
#pragma once

#include <string>

namespace localft {

// From now on, in whatever thread a page is touched that its file no longer has: write `last_words` to stderr, byte by
// byte as given, and end the process with `exit_code`. Any other SIGBUS goes where it went before.
void on_truncation(const std::string & last_words, int exit_code);

} // namespace localft
