// Dropout of what enters LoRA: a hash decides, so that a pass can be repeated exactly.
#include "ops/ops.h"

namespace localft {

namespace {

void run_drop(ggml_tensor * dst, int, int nth, void * data) {
    Args &        args = args_of(data);
    const int64_t n    = dst->ne[0];
    each_row(args, dst->ne[1], nth, [&](int64_t row) {
        for (int64_t i = row * n; i < (row + 1) * n; i++)
            floats(dst)[i] = floats(dst->src[0])[i] * dropout_factor(args.seed, args.stream, (uint64_t) i, args.p);
    });
}

uint64_t mix(uint64_t x) { // the finaliser of SplitMix64 (Steele, Lea and Flood, 2014)
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

} // namespace

float dropout_factor(uint64_t seed, uint64_t stream, uint64_t index, float p) {
    const uint64_t bits = mix(mix(seed + 0x9e3779b97f4a7c15ull * (stream + 1)) + 0x9e3779b97f4a7c15ull * index);
    return (float) (bits >> 40) * 0x1p-24f < p ? 0.0f : 1.0f / (1.0f - p);
}

ggml_tensor * Ops::dropout_mask(const ggml_tensor * x, uint64_t stream) {
    for (const DropoutMask & mask : dropout_masks)
        if (mask.stream == stream) return mask.tensor;
    dropout_masks.push_back({ input(GGML_TYPE_F32, x->ne[0], x->ne[1]), stream });
    return dropout_masks.back().tensor;
}

ggml_tensor * Ops::drop(ggml_tensor * x, uint64_t stream) {
    if (dropout == 0) return x;
    if (plain()) return ggml_mul(ctx(), x, dropout_mask(x, stream));
    Args args;
    args.seed = dropout_seed, args.stream = stream, args.p = dropout;
    return custom(x->ne[0], x->ne[1], { x }, run_drop, args);
}

} // namespace localft
