// Rows on their way into products, forwards and backwards: made, rounded, and multiplied by LoRA's factors.
#include "ops/ops.h"

#include <algorithm>

namespace localft {

namespace {

using From = kernels::Rows::From;
using As   = kernels::Rows::As;

size_t n_half(From from) {
    return from == From::swiglu_back ? 2 : 1;
}

int64_t width_as(As as, int64_t width) {
    return as == As::nothing ? 0 : as == As::f32 ? width : kernels::quantised_floats(width);
}

// dst: a row's halves, or the whole of it, then its low values. src: what the rows are made of, then the factors.
void run_rows(ggml_tensor * dst, int, int nth, void * data) {
    Args &                args = args_of(data);
    kernels::Rows         p    = {};
    ggml_tensor * const * src  = dst->src;
    p.from = args.from, p.as = args.as, p.m = dst->ne[1], p.k = args.width, p.xy16 = args.int16, p.eps = args.eps, p.scale = args.scale;
    p.out = floats(dst), p.out_stride = stride(dst);
    if (p.from == From::swiglu_back) p.da = floats(*src++);
    p.x = floats(*src), p.x_stride = stride(*src), src++;
    if (p.from != From::given) p.y = floats(*src), p.y_stride = stride(*src), src++;
    for (const int half : args.halves) {
        p.rank                 = (*src)->ne[1];
        p.factor[p.n_factor++] = { floats(*src++), half };
    }
    args.table->rows(p, args.turns, nth);
    args.turns.leave(nth);
}

bool any(const std::vector<ggml_tensor *> & tensors) {
    return std::any_of(tensors.begin(), tensors.end(), [](const ggml_tensor * t) { return t; });
}

} // namespace

// Where two halves are made, the first factor belongs to the first and the second to the second; else all to the one.
ggml_tensor * Ops::make_rows(const Source & source, As as, const LoraRows & factors) {
    std::vector<ggml_tensor *> tensors = source.tensors;
    Args                       args;
    int64_t                    width = (int64_t) n_half(source.from) * width_as(as, source.width);
    args.from = source.from, args.as = as, args.width = source.width, args.int16 = source.int16, args.eps = source.eps, args.scale = lora_scale;
    for (size_t i = 0; i < factors.size(); i++) {
        if (!factors[i]) continue;
        if (args.halves.size() == kernels::MAX_FACTORS) throw std::logic_error("[rows] more matrices than a visit of rows can meet");
        tensors.push_back(factors[i]);
        args.halves.push_back(n_half(source.from) == 2 ? (int) i : 0);
        width += factors[i]->ne[1];
    }
    return expand(custom(width, source.tensors[0]->ne[1], tensors, run_rows, args), Kind::elementwise);
}

ggml_tensor * Ops::columns(ggml_tensor * rows, int64_t first, int64_t n) {
    return expand(ggml_view_2d(ctx(), rows, n, rows->ne[1], rows->nb[1], first * sizeof(float)), Kind::elementwise);
}

std::vector<ggml_tensor *> Ops::make_plain(const Source & source) {
    ggml_tensor * x = source.tensors[0];
    switch (source.from) {
        case From::given: break;
        case From::norm: return { ggml_mul(ctx(), ggml_rms_norm(ctx(), x, source.eps), source.tensors[1]) };
        case From::swiglu: return { ggml_swiglu_split(ctx(), x, source.tensors[1]) };
        case From::swiglu_back: {
            ggml_tensor * da = x, *gate = source.tensors[1], *up = source.tensors[2];
            ggml_tensor * s     = ggml_sigmoid(ctx(), gate);
            ggml_tensor * das   = ggml_mul(ctx(), da, s);
            ggml_tensor * slope = ggml_scale_bias(ctx(), ggml_mul(ctx(), gate, ggml_scale_bias(ctx(), s, -1.0f, 1.0f)), 1.0f, 1.0f);
            return { ggml_mul(ctx(), ggml_mul(ctx(), das, up), slope), ggml_mul(ctx(), das, gate) };
        }
    }
    return source.tensors;
}

// Each half by itself.
std::vector<ggml_tensor *> Ops::make_f32(const Source & source) {
    if (source.from == From::given) return source.tensors;
    std::vector<ggml_tensor *> parts;
    if (plain()) {
        for (ggml_tensor * part : make_plain(source)) parts.push_back(expand(part, Kind::elementwise));
        return parts;
    }
    ggml_tensor * all = make_rows(source, As::f32, {});
    for (size_t i = 0; i < n_half(source.from); i++) parts.push_back(columns(all, i * source.width, source.width));
    return parts;
}

ggml_tensor * Ops::in_16_bits(ggml_tensor * x) {
    return make_rows({ From::given, { x }, x->ne[0] }, As::int16, {});
}

// Rows and their low values in one visit.
std::vector<Ops::Input> Ops::feed(const Source & source, const LoraRows & factors) {
    const As           as    = int16_ ? As::int16 : source.from == From::given ? As::nothing : As::f32;
    const int64_t      width = width_as(as, source.width);
    ggml_tensor *      all   = as != As::nothing || any(factors) ? make_rows(source, as, factors) : nullptr;
    std::vector<Input> inputs(n_half(source.from));
    int64_t            at = 0;
    for (Input & in : inputs) {
        in.x = in.after_dropout = as == As::nothing ? as_f32(source.tensors[0]) : Rows{ columns(all, at, width), source.width, int16_ };
        at += width;
    }
    for (size_t i = 0; i < factors.size(); i++) {
        inputs[std::min(i, inputs.size() - 1)].low.push_back(factors[i] ? columns(all, at, factors[i]->ne[1]) : nullptr);
        if (factors[i]) at += factors[i]->ne[1];
    }
    return inputs;
}

// The same, one thing after the other.
Ops::Input Ops::feed_apart(ggml_tensor * x, ggml_tensor * after_dropout, const LoraRows & factors) {
    Input in;
    in.x             = int16_ && !factors.empty() ? Rows{ in_16_bits(x), x->ne[0], true } : as_f32(x);
    in.after_dropout = after_dropout == x ? in.x : as_f32(after_dropout);
    for (ggml_tensor * factor : factors) in.low.push_back(factor ? expand(times(after_dropout, factor), Kind::low_rank) : nullptr);
    return in;
}

bool Ops::together(const LoraRows & factors) const {
    return !plain() && (lora_.rank() <= kernels::THIN || !any(factors));
}

Ops::Input Ops::enter(const Source & source, const Matrices & matrices, uint64_t stream) {
    LoraRows factors;
    for (const Matrix * w : matrices) {
        const LoraTensor * lora = lora_.find(*w);
        factors.push_back(lora ? lora->a : nullptr);
    }
    if (dropout > 0 || !together(factors) || (source.from == From::given && factors.empty())) {
        ggml_tensor * x = make_f32(source)[0];
        return feed_apart(x, any(factors) || factors.empty() ? drop(x, stream) : x, factors);
    }
    Input in = feed(source, factors)[0];
    for (ggml_tensor *& low : in.low)
        if (low) low = expand(ggml_cont(ctx(), low), Kind::low_rank); // as a view it would keep the rows
    return in;
}

Ops::Input Ops::enter(ggml_tensor * x, const Matrices & matrices, uint64_t stream) {
    return enter({ From::given, { x }, x->ne[0] }, matrices, stream);
}

Ops::Input Ops::enter_norm(ggml_tensor * x, ggml_tensor * g, float eps, const Matrices & matrices, uint64_t stream) {
    return enter({ From::norm, { x, g }, x->ne[0], false, eps }, matrices, stream);
}

Ops::Input Ops::enter_swiglu(const GateUp & x, const Matrices & matrices, uint64_t stream) {
    return enter({ From::swiglu, { x.gate.data, x.up.data }, x.gate.width, x.gate.int16 }, matrices, stream);
}

Ops::Input Ops::enter_back(ggml_tensor * dy, const Matrix & w) {
    const LoraTensor * lora    = lora_.find(w);
    const LoraRows     factors = { lora ? lora->bt : nullptr };
    return together(factors) ? feed({ From::given, { dy }, dy->ne[0] }, factors)[0] : feed_apart(dy, dy, factors);
}

std::pair<Ops::Input, Ops::Input> Ops::enter_swiglu_back(ggml_tensor * da, const GateUp & x, const Matrix & gate, const Matrix & up) {
    const LoraTensor *of_gate = lora_.find(gate), *of_up = lora_.find(up);
    const LoraRows    factors = { of_gate ? of_gate->bt : nullptr, of_up ? of_up->bt : nullptr };
    const Source      source  = { From::swiglu_back, { da, x.gate.data, x.up.data }, x.gate.width, x.gate.int16 };
    if (together(factors)) {
        const std::vector<Input> both = feed(source, factors);
        return { both[0], both[1] };
    }
    const std::vector<ggml_tensor *> d = make_f32(source);
    return { feed_apart(d[0], d[0], { factors[0] }), feed_apart(d[1], d[1], { factors[1] }) };
}

Ops::GateUp Ops::kept(const GateUp & x) {
    if (!int16_) return x;
    return { { in_16_bits(x.gate.data), x.gate.width, true }, { in_16_bits(x.up.data), x.up.width, true } };
}

} // namespace localft
