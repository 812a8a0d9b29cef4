// A loaded base model: hyperparameters, tensors where the device can use them, and the mapped file.
#pragma once

#include "localft.h"

#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <ggml.h>
#include <gguf.h>

#include <unordered_map>

namespace localft {

// One architecture: which tensors a layer has. Others are rows of the table in model.cpp.
struct Arch {
    const char *              name;
    std::vector<const char *> norms;    // per layer, f32 vectors
    std::vector<const char *> matrices; // per layer, may carry LoRA
    int                       rope_mode;
};

// A read-only mapping of a file.
class Mapping {
public:
    explicit Mapping(const std::string & path);
    ~Mapping();
    Mapping(const Mapping &)             = delete;
    Mapping & operator=(const Mapping &) = delete;

    char * data() const { return data_; }
    size_t size() const { return size_; }

private:
    char * data_ = nullptr;
    size_t size_ = 0;
};

// A base matrix. `w` is ne [n_in, n_out]; `wt`, its transpose, exists only where the plain ops need it.
struct Matrix {
    ggml_tensor * w  = nullptr;
    ggml_tensor * wt = nullptr;
};

struct Layer {
    ggml_tensor *attn_norm = nullptr, *ffn_norm = nullptr;
    Matrix       q, k, v, o, gate, up, down;
};

struct Model::Impl {
    std::string              path, device_name;
    Hparams                  hparams;
    const Arch *             arch = nullptr;
    std::unique_ptr<Mapping> file;
    gguf_context_ptr         gguf;
    ggml_context_ptr         file_ctx;   // tensors as the file has them; data points into the mapping
    ggml_context_ptr         device_ctx; // their copies on a device, where that is not the CPU
    ggml_context_ptr         transposed_ctx;
    ggml_backend_ptr         backend;
    ggml_backend_buffer_ptr  file_buffer;       // over the mapping
    ggml_backend_buffer_ptr  device_buffer;     // weights on a device other than the CPU
    ggml_backend_buffer_ptr  transposed_buffer; // for the plain ops
    bool                     is_cpu = true;
    std::vector<Layer>       layers;
    ggml_tensor *            output_norm = nullptr;
    ggml_tensor *            rope_freqs  = nullptr;
    ggml_tensor *            embedding   = nullptr; // in the mapping, read on the host
    Matrix                   output;

    ggml_tensor * find(const std::string & name) const; // where graphs use it; null if absent
    ggml_tensor * require(const std::string & name, std::vector<int64_t> ne) const;
    void          make_transposed(); // once, on the host; f32 for f32 weights, else f16
};

} // namespace localft
