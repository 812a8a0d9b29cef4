// An error as the caller hears it: "[op] text".
#pragma once

#include <stdexcept>
#include <string>

namespace localft {

[[noreturn]] inline void fail(const std::string & op, const std::string & text) {
    throw std::runtime_error("[" + op + "] " + text);
}

} // namespace localft
