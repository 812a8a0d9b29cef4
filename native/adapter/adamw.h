// The optimizer.
#pragma once

#include "localft.h"

namespace localft {

// One AdamW update as torch.optim.AdamW defines it; `step` counts from 1. `scale` multiplies the gradient first.
void adamw(float * p, const float * g, float * m, float * v, int64_t n, int64_t step, float scale, const AdamOptions & options);

} // namespace localft
