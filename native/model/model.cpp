#include "model/model.h"

#include "error.h"
#include "model/device.h"
#include "model/hparams.h"

namespace localft {

namespace {

constexpr const char *EMBEDDING = "token_embd.weight", *OUTPUT = "output.weight", *ROPE_FREQS = "rope_freqs.weight";

void silence(ggml_log_level, const char *, void *) {
}

using Impl = Model::Impl;

// Open, map, and bind every tensor's data to the mapping, checking that it lies inside the file.
void open_file(Impl & m) {
    ggml_context *   ctx    = nullptr;
    gguf_init_params params = { /*no_alloc*/ true, &ctx };
    m.gguf.reset(gguf_init_from_file(m.path.c_str(), params));
    m.file_ctx.reset(ctx);
    if (!m.gguf || !ctx) fail("load", "\"" + m.path + "\" is not a readable GGUF file");
    if (gguf_get_alignment(m.gguf.get()) % 32) fail("load", "general.alignment is no multiple of 32");
    m.file             = std::make_unique<Mapping>(m.path);
    const size_t start = gguf_get_data_offset(m.gguf.get());
    if (start > m.file->size()) fail("load", "\"" + m.path + "\" is truncated");
    m.file_buffer.reset(ggml_backend_cpu_buffer_from_ptr(m.file->data(), m.file->size()));
    for (int64_t i = 0; i < gguf_get_n_tensors(m.gguf.get()); i++) {
        ggml_tensor * t  = ggml_get_tensor(ctx, gguf_get_tensor_name(m.gguf.get(), i));
        const size_t  at = start + gguf_get_tensor_offset(m.gguf.get(), i);
        if (at > m.file->size() || ggml_nbytes(t) > m.file->size() - at) fail("load", "\"" + m.path + "\" is truncated");
        if (ggml_backend_tensor_alloc(m.file_buffer.get(), t, m.file->data() + at) != GGML_STATUS_SUCCESS) fail("load", "cannot place a tensor");
    }
}

void upload(Impl & m) {
    const int64_t    n      = gguf_get_n_tensors(m.gguf.get());
    ggml_init_params params = { ggml_tensor_overhead() * (n + 8), nullptr, true };
    m.device_ctx.reset(ggml_init(params));
    for (ggml_tensor * t = ggml_get_first_tensor(m.file_ctx.get()); t; t = ggml_get_next_tensor(m.file_ctx.get(), t))
        ggml_set_name(ggml_dup_tensor(m.device_ctx.get(), t), t->name);
    m.device_buffer.reset(ggml_backend_alloc_ctx_tensors(m.device_ctx.get(), m.backend.get()));
    if (!m.device_buffer) fail("load", "device \"" + m.device_name + "\" has not enough memory for the weights");
    for (ggml_tensor * t = ggml_get_first_tensor(m.file_ctx.get()); t; t = ggml_get_next_tensor(m.file_ctx.get(), t))
        ggml_backend_tensor_set(ggml_get_tensor(m.device_ctx.get(), t->name), t->data, 0, ggml_nbytes(t));
    ggml_backend_buffer_set_usage(m.device_buffer.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
}

// A tensor that the graph does not use would be left out of the computation without a word.
void refuse_unused(const Impl & m) {
    for (ggml_tensor * t = ggml_get_first_tensor(m.file_ctx.get()); t; t = ggml_get_next_tensor(m.file_ctx.get(), t))
        if (!m.used.count(t->name)) fail("load", "tensor \"" + std::string(t->name) + "\" is not one that the trainer's " + m.hparams.arch + " graph uses");
}

void bind_tensors(Impl & m) {
    Hparams & h = m.hparams;
    m.embedding = ggml_get_tensor(m.file_ctx.get(), EMBEDDING);
    if (!m.embedding) fail("load", std::string("tensor \"") + EMBEDDING + "\" is missing");
    h.n_vocab = m.embedding->ne[1];
    if (h.n_vocab < 1) fail("load", std::string("tensor \"") + EMBEDDING + "\" has an unexpected shape");
    m.require(EMBEDDING, { h.n_embd, h.n_vocab });
    h.tied_output = !m.find(OUTPUT);
    m.output_norm = m.require(m.arch->output_norm, { h.n_embd });
    m.output.w    = m.require(h.tied_output ? EMBEDDING : OUTPUT, { h.n_embd, h.n_vocab });
    const Rope rope{ (int) h.n_rot, (int) h.n_ctx_train, h.rope_freq_base, h.rope_freq_scale,
                     m.find(ROPE_FREQS) ? m.require(ROPE_FREQS, { h.n_rot / 2 }) : nullptr };
    for (int64_t il = 0; il < h.n_layer; il++) {
        const std::string at = "blk." + std::to_string(il) + ".";
        m.layers.push_back(
            bind_layer(m.arch->layer(il), h, rope, [&](const char * name, const std::vector<int64_t> & ne) { return m.require(at + name, ne); }));
    }
    refuse_unused(m);
}

} // namespace

ggml_tensor * Model::Impl::find(const std::string & name) const {
    return ggml_get_tensor(device_ctx ? device_ctx.get() : file_ctx.get(), name.c_str());
}

ggml_tensor * Model::Impl::require(const std::string & name, const std::vector<int64_t> & ne) {
    ggml_tensor * t = find(name);
    if (!t) fail("load", "tensor \"" + name + "\" is missing");
    for (size_t i = 0; i < GGML_MAX_DIMS; i++)
        if (t->ne[i] != (i < ne.size() ? ne[i] : 1)) fail("load", "tensor \"" + name + "\" has an unexpected shape");
    if (ne.size() == 1 && t->type != GGML_TYPE_F32) fail("load", "tensor \"" + name + "\" is not f32");
    if (t->type != GGML_TYPE_F32 && !ggml_get_type_traits(t->type)->to_float)
        fail("load", "tensor \"" + name + "\" is of type " + ggml_type_name(t->type) + ", which cannot be trained on");
    used.insert(name);
    return t;
}

Model::Model(const std::string & path, const std::string & device) : impl_(std::make_unique<Impl>()) {
    ggml_log_set(silence, nullptr);
    Impl &             m   = *impl_;
    ggml_backend_dev_t dev = find_device(device);
    m.path                 = path;
    m.device_name          = ggml_backend_dev_name(dev);
    m.is_cpu               = ggml_backend_dev_type(dev) == GGML_BACKEND_DEVICE_TYPE_CPU;
    open_file(m);
    const Metadata meta(m.gguf.get());
    m.arch    = &find_architecture(meta.text("general.architecture"));
    m.hparams = read_hparams(meta, m.arch->name);
    m.backend.reset(ggml_backend_dev_init(dev, nullptr));
    if (!m.backend) fail("load", "device \"" + m.device_name + "\" does not start");
    if (!m.is_cpu) upload(m);
    bind_tensors(m);
}

Model::~Model() = default;

const Hparams & Model::hparams() const {
    return impl_->hparams;
}

const std::string & Model::device() const {
    return impl_->device_name;
}

size_t Model::device_bytes() const {
    const Impl & m = *impl_;
    size_t       n = m.is_cpu ? 0 : ggml_backend_buffer_get_size(m.device_buffer.get());
    if (m.transposed_buffer) n += ggml_backend_buffer_get_size(m.transposed_buffer.get());
    return n;
}

std::vector<Model::Target> Model::targets() const {
    std::vector<Target> all;
    const auto          add = [&](const Matrix & matrix) { all.push_back({ matrix.w->name, matrix.w->ne[0], matrix.w->ne[1] }); };
    for (Layer & layer : impl_->layers)
        for (const Matrix * matrix : matrices(layer)) add(*matrix);
    if (!impl_->hparams.tied_output) add(impl_->output);
    return all;
}

std::vector<Model::TensorInfo> Model::tensors() const {
    std::vector<TensorInfo> all;
    for (ggml_tensor * t = ggml_get_first_tensor(impl_->file_ctx.get()); t; t = ggml_get_next_tensor(impl_->file_ctx.get(), t)) {
        TensorInfo info{ t->name, ggml_type_name(t->type), {} };
        for (int i = ggml_n_dims(t) - 1; i >= 0; i--) info.shape.push_back(t->ne[i]);
        all.push_back(info);
    }
    return all;
}

} // namespace localft
