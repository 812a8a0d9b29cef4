// What is wrong with a file or a device, as the caller hears it.
#pragma once

#include <stdexcept>
#include <string>

namespace localft {

[[noreturn]] inline void fail_to_load(const std::string & text) {
    throw std::runtime_error("[load] " + text);
}

} // namespace localft
