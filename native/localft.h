// localft's native engine: LoRA training on a GGUF, on ggml.
//
// Order of calls: load a Model; make a Trainer on it; set_lora for every target (the factors are zero until then);
// then per optimizer step accumulate() once or more and apply() once. Nothing here prints (but last words, see
// model/truncation.h), downloads or knows Python.
// Errors are std::runtime_error whose text starts with "[op]"; Interrupted says that `should_stop` asked for it.
// A Model must outlive its Trainers. One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

struct ggml_tensor;

namespace localft {

struct Interrupted : std::runtime_error {
    Interrupted() : std::runtime_error("[compute] interrupted") {}
};

struct DeviceInfo {
    std::string name; // what --device takes: "CPU", "CUDA0", "Metal"
    std::string description;
    std::string kind;        // "cpu", "gpu", "igpu" or "accel"
    size_t      memory_free; // bytes
    size_t      memory_total;
};

std::vector<DeviceInfo> devices();

struct Hparams {
    std::string arch;
    int64_t     n_vocab = 0, n_embd = 0, n_layer = 0, n_head = 0, n_head_kv = 0, n_ff = 0, n_rot = 0, n_embd_head = 0, n_ctx_train = 0;
    float       rms_eps = 0, rope_freq_base = 0, rope_freq_scale = 0;
    bool        tied_output = false; // the head is token_embd
};

// A base model: its GGUF mapped read-only, or uploaded to a device. Weights are never written.
class Model {
public:
    // `device`: a name of devices(), or empty for the CPU.
    Model(const std::string & path, const std::string & device);
    ~Model();

    const Hparams &     hparams() const;
    const std::string & device() const;
    size_t              device_bytes() const; // weights held on a device other than the CPU

    // Matrices that can carry LoRA, in the model's order: name, n_in, n_out.
    struct Target {
        std::string name;
        int64_t     n_in, n_out;
    };
    std::vector<Target> targets() const;

    // Every tensor's name, ggml type name and row-major shape.
    struct TensorInfo {
        std::string          name, type;
        std::vector<int64_t> shape;
    };
    std::vector<TensorInfo> tensors() const;

    struct Impl;
    Impl & impl() const { return *impl_; }

private:
    std::unique_ptr<Impl> impl_;
};

struct TrainerOptions {
    std::vector<std::string> targets;            // base tensor names
    int32_t                  rank          = 8;  // from 1; above the smaller side of a target it adds nothing but its cost
    float                    lora_scale    = 2;  // alpha / rank
    float                    dropout       = 0;  // [0, 1)
    uint64_t                 seed          = 42; // of dropout
    int32_t                  n_threads     = 1;
    int64_t                  max_tokens    = 0;      // of the largest micro-batch; sizes the decision below
    size_t                   memory_budget = 0;      // bytes for activations; layers recompute until they fit; 0: keep all
    std::string              kernels       = "auto"; // "plain": ggml's own ops only; else a table of kernels/kernels.h
    std::string              arithmetic    = "f32";  // "int16": products in integers; "auto": that, if it is fast here and the base is not in f32
};

struct AdamOptions {
    float lr, beta1, beta2, eps, weight_decay;
    float grad_clip; // global norm, 0 = off
};

struct MicroResult {
    double  loss_sum;     // nats, summed over supervised targets
    int64_t n_supervised; // may be 0
};

// Rows end to end, without padding; positions restart at each row and attention never crosses one.
struct Batch {
    const int32_t * tokens;     // [n_tok]
    const int32_t * targets;    // [n_tok] the token that each position should predict; read where loss_mask is 1
    const uint8_t * loss_mask;  // [n_tok] 1 = this target is supervised
    const int32_t * row_starts; // [n_row + 1] row r is [row_starts[r], row_starts[r + 1])
    int64_t         n_tok;
    int64_t         n_row;
};

// One adapted tensor as NumPy sees it: a (rank, n_in), b (n_out, rank), row-major.
struct Factors {
    std::vector<float> a, b;
};

class Trainer {
public:
    Trainer(Model & model, const TrainerOptions & options);
    ~Trainer();

    // Asked between operations, at least every 100 ms of work; true ends the call with Interrupted.
    void set_should_stop(std::function<bool()> should_stop);

    // Run one micro-batch forward and backward and add the gradient of its summed loss to the accumulator.
    // After Interrupted the accumulator is empty.
    MicroResult accumulate(const Batch & batch);

    // What accumulate() does, run piece by piece with a clock. By kind of work ("product", "attention", "elementwise",
    // "low-rank", "head"): how many nodes of the graph, and their seconds; what is between them is not in it.
    struct Spent {
        int64_t n_node  = 0;
        double  seconds = 0;
    };
    std::map<std::string, Spent> profile(const Batch & batch);

    // Divide the accumulated gradient by its n_supervised, clip, update (AdamW), clear. Returns grad_norm before clipping.
    double apply(const AdamOptions & options);

    void clear(); // empty the accumulator

    // Forward only, without dropout.
    MicroResult        evaluate(const Batch & batch);
    std::vector<float> logits(const Batch & batch); // [n_tok][n_vocab]

    Factors lora(const std::string & name) const;
    Factors gradient(const std::string & name) const;          // the accumulator: sums, undivided
    Factors moment(const std::string & name, int order) const; // 1: mean, 2: uncentred variance
    void    set_lora(const std::string & name, const Factors & factors);
    void    set_moment(const std::string & name, int order, const Factors & factors);

    int64_t step, micro_step; // updates done; calls of accumulate() begun. Saved and restored by the caller.

    int64_t             n_recompute() const;   // layers whose activations are recomputed
    size_t              compute_bytes() const; // activations and scratch for max_tokens
    const std::string & kernels() const;
    const std::string & arithmetic() const; // "f32" or "int16"

    // Each distinct operation of a training graph for `batch`, as "OP type(,type…) -> type".
    std::vector<std::string> ops(const Batch & batch);

    struct Impl;

private:
    std::unique_ptr<Impl> impl_;
};

} // namespace localft
