// The Python module localft._native. The only file that knows Python.
#include "localft.h"
#include "model/truncation.h"

#include <ggml.h>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>

namespace nb = nanobind;
using namespace nb::literals;
using namespace localft;

namespace {

using Ints   = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Bytes  = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Array  = nb::ndarray<nb::numpy, float, nb::ndim<2>>;

Batch batch_of(const Ints & tokens, const Ints & targets, const Bytes & loss_mask, const Ints & row_starts) {
    const size_t n = tokens.size();
    if (targets.size() != n || loss_mask.size() != n) throw std::runtime_error("[batch] tokens, targets and loss_mask differ in length");
    if (row_starts.size() < 2) throw std::runtime_error("[batch] row_starts needs at least two entries");
    return { tokens.data(), targets.data(), loss_mask.data(), row_starts.data(), (int64_t) n, (int64_t) row_starts.size() - 1 };
}

Array to_array(std::vector<float> values, size_t rows) {
    auto *      data = new std::vector<float>(std::move(values));
    nb::capsule owner(data, [](void * p) noexcept { delete static_cast<std::vector<float> *>(p); });
    return Array(data->data(), { rows, rows ? data->size() / rows : 0 }, owner);
}

std::vector<float> to_vector(const Floats & x) {
    return { x.data(), x.data() + x.size() };
}

// Both factors as arrays; a is (rank, n_in), so b, whose count is n_out × rank, follows from its size.
std::pair<Array, Array> to_arrays(Factors f, int32_t rank) {
    const size_t n_out = f.b.size() / rank;
    return { to_array(std::move(f.a), rank), to_array(std::move(f.b), n_out) };
}

// True when Python has a signal to deliver; asks at most every 50 ms, because asking takes the GIL.
class SignalCheck {
public:
    bool operator()() {
        const auto now = std::chrono::steady_clock::now();
        if (now - last_ < std::chrono::milliseconds(50)) return false;
        last_ = now;
        nb::gil_scoped_acquire gil;
        return PyErr_CheckSignals() != 0; // the exception stays set for the caller
    }

private:
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

struct PyTrainer {
    Trainer trainer;
    int32_t rank;

    PyTrainer(Model & model, const TrainerOptions & options) : trainer(model, options), rank(options.rank) {}

    // Run without the GIL; an interrupt becomes the Python exception that the signal handler raised.
    template <typename F>
    auto run(F && f) {
        try {
            nb::gil_scoped_release released;
            trainer.set_should_stop(SignalCheck());
            return f();
        } catch (const Interrupted &) {
            if (PyErr_Occurred()) throw nb::python_error();
            throw;
        }
    }
};

std::map<std::string, std::tuple<int64_t, double>> to_tuples(const std::map<std::string, Trainer::Spent> & spent) {
    std::map<std::string, std::tuple<int64_t, double>> all;
    for (const auto & [kind, s] : spent) all[kind] = { s.n_node, s.seconds };
    return all;
}

std::tuple<double, int64_t> to_tuple(const MicroResult & r) {
    return { r.loss_sum, r.n_supervised };
}

// A method that takes a micro-batch as four arrays and runs without the GIL.
template <typename F>
auto on_batch(F f) {
    return [f](PyTrainer & t, Ints tokens, Ints targets, Bytes mask, Ints starts) {
        return t.run([&] { return f(t.trainer, batch_of(tokens, targets, mask, starts)); });
    };
}

Array logits_array(PyTrainer & t, Ints tokens, Ints targets, Bytes mask, Ints starts) {
    return to_array(t.run([&] { return t.trainer.logits(batch_of(tokens, targets, mask, starts)); }), tokens.size());
}

nb::dict hparams_dict(const Model & model) {
    const Hparams & h = model.hparams();
    nb::dict        d;
    d["arch"]        = h.arch;
    d["n_vocab"]     = h.n_vocab;
    d["n_embd"]      = h.n_embd;
    d["n_layer"]     = h.n_layer;
    d["n_head"]      = h.n_head;
    d["n_head_kv"]   = h.n_head_kv;
    d["n_ff"]        = h.n_ff;
    d["n_rot"]       = h.n_rot;
    d["n_embd_head"] = h.n_embd_head;
    d["n_ctx_train"] = h.n_ctx_train;
    d["tied_output"] = h.tied_output;
    return d;
}

nb::list device_list() {
    nb::list all;
    for (const DeviceInfo & info : devices()) {
        nb::dict d;
        d["name"]         = info.name;
        d["description"]  = info.description;
        d["kind"]         = info.kind;
        d["memory_free"]  = info.memory_free;
        d["memory_total"] = info.memory_total;
        all.append(d);
    }
    return all;
}

// The path comes as bytes: names of files need not be UTF-8.
void init_model(Model * self, const nb::bytes & path, const std::string & device) {
    const std::string      name(path.c_str(), path.size());
    nb::gil_scoped_release released;
    new (self) Model(name, device);
}

void bind_model(nb::module_ & module) {
    nb::class_<Model>(module, "Model")
        .def("__init__", init_model, "path"_a, "device"_a = "")
        .def_prop_ro("hparams", hparams_dict)
        .def_prop_ro("device", &Model::device)
        .def_prop_ro("device_bytes", &Model::device_bytes)
        .def("targets",
             [](const Model & model) {
                 std::vector<std::tuple<std::string, int64_t, int64_t>> all; // name, n_out, n_in
                 for (const auto & t : model.targets()) all.emplace_back(t.name, t.n_out, t.n_in);
                 return all;
             })
        .def("tensors", [](const Model & model) {
            std::vector<std::tuple<std::string, std::string, std::vector<int64_t>>> all;
            for (const auto & t : model.tensors()) all.emplace_back(t.name, t.type, t.shape);
            return all;
        });
}

void init_trainer(PyTrainer * self, Model & model, std::vector<std::string> targets, int32_t rank, float lora_scale, float dropout, uint64_t seed,
                  int32_t n_threads, int64_t max_tokens, size_t memory_budget, const std::string & kernels, const std::string & arithmetic) {
    TrainerOptions o;
    o.targets = std::move(targets), o.rank = rank, o.lora_scale = lora_scale, o.dropout = dropout, o.seed = seed;
    o.n_threads = n_threads, o.max_tokens = max_tokens, o.memory_budget = memory_budget, o.kernels = kernels, o.arithmetic = arithmetic;
    new (self) PyTrainer(model, o);
}

void bind_trainer(nb::module_ & module) {
    nb::class_<PyTrainer>(module, "Trainer")
        .def("__init__", init_trainer, "model"_a, "targets"_a, "rank"_a, "lora_scale"_a, "dropout"_a, "seed"_a, "n_threads"_a, "max_tokens"_a,
             "memory_budget"_a, "kernels"_a, "arithmetic"_a, nb::keep_alive<1, 2>(), nb::call_guard<nb::gil_scoped_release>())
        .def("accumulate", on_batch([](Trainer & t, const Batch & b) { return to_tuple(t.accumulate(b)); }))
        .def("evaluate", on_batch([](Trainer & t, const Batch & b) { return to_tuple(t.evaluate(b)); }))
        .def("profile", on_batch([](Trainer & t, const Batch & b) { return to_tuples(t.profile(b)); }))
        .def("ops", on_batch([](Trainer & t, const Batch & b) { return t.ops(b); }))
        .def("logits", logits_array)
        .def(
            "apply",
            [](PyTrainer & t, float lr, float beta1, float beta2, float eps, float weight_decay, float grad_clip) {
                return t.run([&] { return t.trainer.apply({ lr, beta1, beta2, eps, weight_decay, grad_clip }); });
            },
            "lr"_a, "beta1"_a, "beta2"_a, "eps"_a, "weight_decay"_a, "grad_clip"_a)
        .def("clear", [](PyTrainer & t) { t.trainer.clear(); })
        .def("lora", [](PyTrainer & t, const std::string & name) { return to_arrays(t.trainer.lora(name), t.rank); })
        .def("gradient", [](PyTrainer & t, const std::string & name) { return to_arrays(t.trainer.gradient(name), t.rank); })
        .def("moment", [](PyTrainer & t, const std::string & name, int order) { return to_arrays(t.trainer.moment(name, order), t.rank); })
        .def("set_lora", [](PyTrainer & t, const std::string & name, Floats a, Floats b) { t.trainer.set_lora(name, { to_vector(a), to_vector(b) }); })
        .def("set_moment",
             [](PyTrainer & t, const std::string & name, int order, Floats a, Floats b) { t.trainer.set_moment(name, order, { to_vector(a), to_vector(b) }); })
        .def_prop_rw(
            "step", [](PyTrainer & t) { return t.trainer.step; }, [](PyTrainer & t, int64_t v) { t.trainer.step = v; })
        .def_prop_rw(
            "micro_step", [](PyTrainer & t) { return t.trainer.micro_step; }, [](PyTrainer & t, int64_t v) { t.trainer.micro_step = v; })
        .def_prop_ro("n_recompute", [](PyTrainer & t) { return t.trainer.n_recompute(); })
        .def_prop_ro("compute_bytes", [](PyTrainer & t) { return t.trainer.compute_bytes(); })
        .def_prop_ro("kernels", [](PyTrainer & t) { return t.trainer.kernels(); })
        .def_prop_ro("arithmetic", [](PyTrainer & t) { return t.trainer.arithmetic(); });
}

} // namespace

NB_MODULE(_native, module) {
    module.doc()                            = "localft's native engine; see native/localft.h";
    module.attr("GGML_VERSION")             = LOCALFT_GGML_VERSION;
    module.attr("LLAMA_CPP_PYTHON_VERSION") = LOCALFT_LLAMA_CPP_PYTHON_VERSION;
    module.def("ggml_version", [] { return std::string(ggml_version()); });
    module.def("devices", device_list);
    module.def("on_truncation", [](nb::bytes words, int code) { on_truncation({ words.c_str(), words.size() }, code); }, "last_words"_a, "exit_code"_a);
    bind_model(module);
    bind_trainer(module);
}
