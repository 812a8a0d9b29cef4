#include "adapter/adamw.h"

#include <cmath>

namespace localft {

void adamw(float * p, const float * g, float * m, float * v, int64_t n, int64_t step, float scale, const AdamOptions & o) {
    const double correction1 = 1.0 - std::pow((double) o.beta1, (double) step);
    const double correction2 = 1.0 - std::pow((double) o.beta2, (double) step);
    const float  size        = (float) (o.lr / correction1);
    const float  root        = (float) std::sqrt(correction2);
    const float  decay       = 1.0f - o.lr * o.weight_decay;
    for (int64_t i = 0; i < n; i++) {
        const float gi = g[i] * scale;
        m[i] += (1.0f - o.beta1) * (gi - m[i]);
        v[i] = o.beta2 * v[i] + (1.0f - o.beta2) * gi * gi;
        p[i] = p[i] * decay - size * m[i] / (std::sqrt(v[i]) / root + o.eps);
    }
}

} // namespace localft
