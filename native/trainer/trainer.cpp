#include "trainer/trainer.h"

#include "adapter/adamw.h"
#include "model/transfer.h"

#include <ggml-cpu.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace localft {

double Trainer::Impl::grad_norm(float inverse) {
    double squares = 0;
    for (LoraTensor & t : lora.all())
        for (const ggml_tensor * g : { t.da, t.dbt })
            for (const float x : download(g)) squares += (double) (x * inverse) * (double) (x * inverse);
    return std::sqrt(squares);
}

Trainer::Trainer(Model & model, const TrainerOptions & options) : step(0), micro_step(0), impl_(std::make_unique<Impl>(model, options)) {
}

Trainer::~Trainer() {
    if (impl_->m.is_cpu) ggml_backend_cpu_set_abort_callback(impl_->m.backend.get(), nullptr, nullptr);
}

void Trainer::set_should_stop(std::function<bool()> should_stop) {
    impl_->should_stop = std::move(should_stop);
}

MicroResult Trainer::accumulate(const Batch & batch) {
    impl_->check(batch, "accumulate");
    try {
        const MicroResult result = impl_->pass(Pass::train, batch, micro_step++);
        impl_->n_supervised += result.n_supervised;
        return result;
    } catch (...) {
        clear();
        throw;
    }
}

std::map<std::string, Trainer::Spent> Trainer::profile(const Batch & batch) {
    std::map<std::string, Spent> spent;
    impl_->clock = &spent;
    try {
        accumulate(batch);
    } catch (...) {
        impl_->clock = nullptr;
        throw;
    }
    impl_->clock = nullptr;
    return spent;
}

double Trainer::apply(const AdamOptions & o) {
    if (impl_->n_supervised == 0) fail("apply", "no supervised target was accumulated");
    if (!std::isfinite(o.lr)) fail("apply", "the learning rate is not finite");
    const float  inverse = 1.0f / (float) impl_->n_supervised;
    const double norm    = impl_->grad_norm(inverse);
    if (!std::isfinite(norm)) {
        impl_->lora.clear_gradients();
        impl_->n_supervised = 0;
        fail("apply", "the gradient is not finite: the learning rate is too high, or the weights hold NaN or infinity");
    }
    const double clip  = o.grad_clip > 0 ? std::min(1.0, o.grad_clip / (norm + 1e-6)) : 1.0;
    const float  scale = inverse * (float) clip;
    step++;
    for (LoraTensor & t : impl_->lora.all()) {
        std::vector<float> a = download(t.a), bt = download(t.bt);
        adamw(a.data(), download(t.da).data(), t.a_m.data(), t.a_v.data(), (int64_t) a.size(), step, scale, o);
        adamw(bt.data(), download(t.dbt).data(), t.bt_m.data(), t.bt_v.data(), (int64_t) bt.size(), step, scale, o);
        upload(t.a, a);
        upload(t.bt, bt);
    }
    clear();
    return norm;
}

MicroResult Trainer::evaluate(const Batch & batch) {
    impl_->check(batch, "evaluate");
    return impl_->pass(Pass::loss, batch, 0);
}

std::vector<float> Trainer::logits(const Batch & batch) {
    impl_->check(batch, "logits");
    std::vector<float> all;
    impl_->for_slices(batch, [&](const Batch & slice, int64_t) {
        const PassGraph g =
            build(impl_->m, impl_->lora, impl_->graph_options(0), Pass::logits, { slice.row_starts, slice.row_starts + slice.n_row + 1 }, slice.n_tok);
        impl_->run(g, slice, {});
        std::vector<float> values = download(g.logits);
        if (all.empty()) all = std::move(values);
        else all.insert(all.end(), values.begin(), values.end());
    });
    return all;
}

Factors Trainer::lora(const std::string & name) const {
    const LoraTensor & t = impl_->lora.at(name);
    return { download(t.a), transposed(download(t.bt), impl_->lora.rank(), t.n_out) };
}

Factors Trainer::gradient(const std::string & name) const {
    const LoraTensor & t = impl_->lora.at(name);
    return { download(t.da), transposed(download(t.dbt), impl_->lora.rank(), t.n_out) };
}

Factors Trainer::moment(const std::string & name, int order) const {
    const LoraTensor & t = impl_->lora.at(name);
    return { order == 1 ? t.a_m : t.a_v, transposed(order == 1 ? t.bt_m : t.bt_v, impl_->lora.rank(), t.n_out) };
}

void Trainer::set_lora(const std::string & name, const Factors & f) {
    LoraTensor & t = impl_->lora.at(name);
    if ((int64_t) f.b.size() != ggml_nelements(t.bt)) fail("set_lora", "\"" + name + "\": b does not have n_out × rank values");
    if ((int64_t) f.a.size() != ggml_nelements(t.a)) fail("set_lora", "\"" + name + "\": a does not have rank × n_in values");
    upload(t.a, f.a);
    upload(t.bt, transposed(f.b, t.n_out, impl_->lora.rank()));
}

void Trainer::set_moment(const std::string & name, int order, const Factors & f) {
    LoraTensor & t = impl_->lora.at(name);
    if (f.a.size() != t.a_m.size() || f.b.size() != t.bt_m.size()) fail("set_moment", "\"" + name + "\": the moments do not have the factors' shapes");
    (order == 1 ? t.a_m : t.a_v)   = f.a;
    (order == 1 ? t.bt_m : t.bt_v) = transposed(f.b, t.n_out, impl_->lora.rank());
}

void Trainer::clear() {
    impl_->lora.clear_gradients();
    impl_->n_supervised = 0;
}

int64_t Trainer::n_recompute() const {
    return impl_->n_recompute;
}

size_t Trainer::compute_bytes() const {
    return impl_->compute_bytes;
}

const std::string & Trainer::kernels() const {
    return impl_->kernels;
}

const std::string & Trainer::arithmetic() const {
    return impl_->arithmetic;
}

std::vector<std::string> Trainer::ops(const Batch & batch) {
    impl_->check(batch, "ops");
    int64_t n_supervised = 0;
    for (int64_t i = 0; i < batch.n_tok; i++) n_supervised += batch.loss_mask[i];
    if (n_supervised == 0) fail("ops", "no target is supervised");
    const PassGraph g =
        build(impl_->m, impl_->lora, impl_->graph_options(0), Pass::train, { batch.row_starts, batch.row_starts + batch.n_row + 1 }, n_supervised);
    std::set<std::string> found;
    for (int i = 0; i < ggml_graph_n_nodes(g.ops->graph()); i++) {
        const ggml_tensor * t = ggml_graph_node(g.ops->graph(), i);
        if (!is_view(t)) found.insert(describe(t));
    }
    return { found.begin(), found.end() };
}

} // namespace localft
