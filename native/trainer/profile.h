// Where the time of a micro-batch goes.
#pragma once

#include "ops/ops.h"

#include <map>

namespace localft {

// Compute a graph that is allocated and filled, and add to `spent` what each kind of its nodes took.
ggml_status compute_by_kind(ggml_backend_t backend, const Ops & ops, std::map<std::string, Trainer::Spent> & spent);

} // namespace localft
