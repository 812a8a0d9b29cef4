#include "model/transfer.h"
#include "trainer/profile.h"
#include "trainer/trainer.h"

#include <ggml-cpu.h>

#include <cmath>

#include <sys/mman.h>

namespace localft {

namespace {

constexpr int64_t MAX_TOKENS = 1 << 24; // of one micro-batch

// Ask for large pages: rows lie thousands of bytes apart, and with pages of 4 KiB most reads of a row would look its page up first.
void use_large_pages([[maybe_unused]] ggml_backend_buffer_t buffer) {
#if defined(MADV_HUGEPAGE)
    constexpr uintptr_t PAGE  = 2 << 20;
    const uintptr_t     base  = reinterpret_cast<uintptr_t>(ggml_backend_buffer_get_base(buffer));
    const uintptr_t     first = (base + PAGE - 1) / PAGE * PAGE, end = base + ggml_backend_buffer_get_size(buffer);
    if (first < end) madvise(reinterpret_cast<void *>(first), end - first, MADV_HUGEPAGE); // only advice: nothing is lost where it fails
#endif
}

} // namespace

Trainer::Impl::Impl(Model & model, const TrainerOptions & options)
    : model(model), m(model.impl()), options(options), lora(model, options.targets, options.rank) {
    if (options.n_threads < 1 || options.n_threads > 4096) fail("trainer", "the number of threads is out of range");
    if (!(options.dropout >= 0 && options.dropout < 1)) fail("trainer", "dropout must be in [0, 1)");
    if (!std::isfinite(options.lora_scale)) fail("trainer", "alpha / rank is not finite");
    if (options.max_tokens < 0 || options.max_tokens > MAX_TOKENS) fail("trainer", "max_tokens is out of range");
    if (m.is_cpu && options.kernels != "plain") {
        table = kernels::find(options.kernels);
        if (!table) fail("trainer", "this CPU has no kernels called \"" + options.kernels + "\"");
        kernels = table->name;
    } else if (options.kernels != "plain" && options.kernels != "auto") {
        fail("trainer", "kernels \"" + options.kernels + "\" run on the CPU only");
    }
    choose_arithmetic();
    if (!table) m.make_transposed();
    if (m.is_cpu) {
        ggml_backend_cpu_set_n_threads(m.backend.get(), options.n_threads);
        ggml_backend_cpu_set_abort_callback(
            m.backend.get(),
            [](void * self) {
                const auto & stop = static_cast<Impl *>(self)->should_stop;
                return stop && stop();
            },
            this);
    }
    allocator.reset(ggml_gallocr_new(ggml_backend_get_default_buffer_type(m.backend.get())));
    choose_recompute();
}

GraphOptions Trainer::Impl::graph_options(int64_t micro_step) const {
    return { table, arithmetic == "int16", options.lora_scale, options.dropout, options.seed * 0x9e3779b97f4a7c15ull + (uint64_t) micro_step, n_recompute };
}

void Trainer::Impl::choose_arithmetic() {
    if (options.arithmetic != "auto" && options.arithmetic != "f32" && options.arithmetic != "int16")
        fail("trainer", "there is no arithmetic called \"" + options.arithmetic + "\"");
    if (options.arithmetic == "int16" && !table) fail("trainer", "int16 arithmetic needs localft's own kernels");
    bool rounded = m.output.w->type != GGML_TYPE_F32; // the base's weights are; one in f32 is trained in f32
    for (Layer & layer : m.layers)
        for (const Matrix * matrix : matrices(layer)) rounded |= matrix->w->type != GGML_TYPE_F32;
    if (options.arithmetic == "int16" || (options.arithmetic == "auto" && table && table->fast16 && rounded)) arithmetic = "int16";
}

// Bytes of activations and scratch for one row of max_tokens, all supervised.
size_t Trainer::Impl::measure(int64_t n) const {
    GraphOptions o     = graph_options(0);
    o.n_recompute      = n;
    const PassGraph  g = build(m, lora, o, Pass::train, { 0, (int32_t) options.max_tokens }, options.max_tokens);
    ggml_gallocr_ptr measuring(ggml_gallocr_new(ggml_backend_get_default_buffer_type(m.backend.get())));
    size_t           bytes = 0;
    ggml_gallocr_reserve_n_size(measuring.get(), g.ops->graph(), nullptr, nullptr, &bytes);
    return bytes;
}

void Trainer::Impl::choose_recompute() {
    if (options.max_tokens < 1) return;
    int64_t low = 0, high = m.hparams.n_layer;
    if (options.memory_budget > 0 && measure(0) > options.memory_budget) {
        while (low < high) {
            const int64_t middle = (low + high) / 2;
            if (measure(middle) <= options.memory_budget) high = middle;
            else low = middle + 1;
        }
        n_recompute = low;
    }
    compute_bytes = measure(n_recompute);
}

void Trainer::Impl::check(const Batch & b, const char * op) const {
    if (b.n_row < 1 || b.n_tok < 1 || b.n_tok > MAX_TOKENS) fail(op, "an empty or oversized micro-batch");
    if (b.row_starts[0] != 0 || b.row_starts[b.n_row] != b.n_tok) fail(op, "row_starts does not span the micro-batch");
    for (int64_t r = 0; r < b.n_row; r++)
        if (b.row_starts[r + 1] <= b.row_starts[r]) fail(op, "row_starts does not increase");
    for (int64_t i = 0; i < b.n_tok; i++) {
        if (b.tokens[i] < 0 || b.tokens[i] >= m.hparams.n_vocab) fail(op, "token " + std::to_string(b.tokens[i]) + " is outside the vocabulary");
        if (b.loss_mask[i] > 1) fail(op, "loss_mask holds " + std::to_string(b.loss_mask[i]) + ", not 0 or 1");
        if (b.loss_mask[i] && (b.targets[i] < 0 || b.targets[i] >= m.hparams.n_vocab))
            fail(op, "target " + std::to_string(b.targets[i]) + " is outside the vocabulary");
    }
}

void Trainer::Impl::check_supported(const PassGraph & g) const {
    if (m.is_cpu) return;
    ggml_backend_dev_t dev = ggml_backend_get_device(m.backend.get());
    for (int i = 0; i < ggml_graph_n_nodes(g.ops->graph()); i++) {
        const ggml_tensor * t = ggml_graph_node(g.ops->graph(), i);
        if (!is_view(t) && !ggml_backend_dev_supports_op(dev, t)) fail("graph", "device \"" + m.device_name + "\" cannot compute " + describe(t));
    }
}

void Trainer::Impl::run(const PassGraph & g, const Batch & batch, const std::vector<int32_t> & supervised) {
    check_supported(g);
    if (!ggml_gallocr_alloc_graph(allocator.get(), g.ops->graph()))
        fail("compute", "not enough memory for a micro-batch of " + std::to_string(batch.n_tok) + " tokens");
    if (m.is_cpu) use_large_pages(g.x0->buffer);
    fill_inputs(g, m, batch, supervised);
    const ggml_status status = clock ? compute_by_kind(m.backend.get(), *g.ops, *clock) : ggml_backend_graph_compute(m.backend.get(), g.ops->graph());
    if (status == GGML_STATUS_ABORTED) throw Interrupted();
    if (status != GGML_STATUS_SUCCESS) fail("compute", std::string("the device failed: ") + ggml_status_to_string(status));
}

double Trainer::Impl::read_loss(const PassGraph & g) const {
    double total = 0;
    for (const PassGraph::Chunk & chunk : g.chunks)
        for (const float value : download(chunk.loss)) total += value;
    if (!std::isfinite(total)) fail("compute", "the loss is not finite: the weights hold NaN or infinity, or the learning rate is too high");
    return total;
}

MicroResult Trainer::Impl::pass_slice(Pass pass, const Batch & slice, const GraphOptions & how) {
    std::vector<int32_t> supervised;
    for (int64_t i = 0; i < slice.n_tok; i++)
        if (slice.loss_mask[i]) supervised.push_back((int32_t) i);
    if (supervised.empty()) return { 0.0, 0 };
    const PassGraph g = build(m, lora, how, pass, { slice.row_starts, slice.row_starts + slice.n_row + 1 }, (int64_t) supervised.size());
    run(g, slice, supervised);
    return { read_loss(g), (int64_t) supervised.size() };
}

MicroResult Trainer::Impl::pass(Pass pass, const Batch & batch, int64_t micro_step) {
    MicroResult total{ 0.0, 0 };
    for_slices(batch, [&](const Batch & slice, int64_t first_row) {
        GraphOptions o = graph_options(micro_step);
        o.dropout_seed += (uint64_t) first_row << 40;
        const MicroResult r = pass_slice(pass, slice, o);
        total.loss_sum += r.loss_sum;
        total.n_supervised += r.n_supervised;
    });
    return total;
}

} // namespace localft
