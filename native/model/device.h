// The devices that ggml offers.
#pragma once

#include "localft.h"

#include <ggml-backend.h>

namespace localft {

// The device called `name`, the CPU for ""; throws where there is none, or where it holds no weights of its own.
ggml_backend_dev_t find_device(const std::string & name);

} // namespace localft
