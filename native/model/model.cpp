#include "model/model.h"

#include <ggml-cpu.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace localft {

namespace {

const std::vector<Arch> ARCHS = {
    { "llama", { "attn_norm", "ffn_norm" }, { "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down" }, GGML_ROPE_TYPE_NORMAL },
};

[[noreturn]] void fail(const std::string & text) {
    throw std::runtime_error("[load] " + text);
}

// Typed reading of metadata. A key of another type than expected is an error, not an abort.
class Metadata {
public:
    explicit Metadata(const gguf_context * gguf) : gguf_(gguf) {}

    bool has(const std::string & key) const { return gguf_find_key(gguf_, key.c_str()) >= 0; }

    std::string text(const std::string & key) const { return gguf_get_val_str(gguf_, id(key, GGUF_TYPE_STRING)); }

    double number(const std::string & key) const {
        const int64_t i = gguf_find_key(gguf_, key.c_str());
        if (i < 0) fail("metadata has no \"" + key + "\"");
        switch (gguf_get_kv_type(gguf_, i)) {
            case GGUF_TYPE_UINT8: return gguf_get_val_u8(gguf_, i);
            case GGUF_TYPE_UINT16: return gguf_get_val_u16(gguf_, i);
            case GGUF_TYPE_UINT32: return gguf_get_val_u32(gguf_, i);
            case GGUF_TYPE_INT32: return gguf_get_val_i32(gguf_, i);
            case GGUF_TYPE_UINT64: return (double) gguf_get_val_u64(gguf_, i);
            case GGUF_TYPE_INT64: return (double) gguf_get_val_i64(gguf_, i);
            case GGUF_TYPE_FLOAT32: return gguf_get_val_f32(gguf_, i);
            case GGUF_TYPE_FLOAT64: return gguf_get_val_f64(gguf_, i);
            default: fail("metadata \"" + key + "\" is not a number");
        }
    }

    double number(const std::string & key, double otherwise) const { return has(key) ? number(key) : otherwise; }

    int64_t count(const std::string & key, int64_t most) const {
        const double value = number(key);
        if (!(value >= 1 && value <= (double) most) || value != std::floor(value)) fail("metadata \"" + key + "\" is out of range");
        return (int64_t) value;
    }

private:
    int64_t id(const std::string & key, gguf_type type) const {
        const int64_t i = gguf_find_key(gguf_, key.c_str());
        if (i < 0) fail("metadata has no \"" + key + "\"");
        if (gguf_get_kv_type(gguf_, i) != type) fail("metadata \"" + key + "\" has an unexpected type");
        return i;
    }

    const gguf_context * gguf_;
};

float rope_freq_scale(const Metadata & meta, const std::string & arch) {
    const std::string type = meta.has(arch + ".rope.scaling.type") ? meta.text(arch + ".rope.scaling.type") : "none";
    const double      f    = meta.number(arch + ".rope.scaling.factor", meta.number(arch + ".rope.scale_linear", 1.0));
    if (type == "none") return 1.0f;
    if (type != "linear") fail("RoPE scaling of type \"" + type + "\" cannot be trained yet");
    if (!(f > 0)) fail("metadata \"" + arch + ".rope.scaling.factor\" is out of range");
    return (float) (1.0 / f);
}

Hparams read_hparams(const Metadata & meta, const std::string & arch) {
    constexpr int64_t MANY = 1 << 24;
    Hparams           h;
    h.arch            = arch;
    h.n_embd          = meta.count(arch + ".embedding_length", MANY);
    h.n_layer         = meta.count(arch + ".block_count", 4096);
    h.n_head          = meta.count(arch + ".attention.head_count", 65536);
    h.n_head_kv       = meta.has(arch + ".attention.head_count_kv") ? meta.count(arch + ".attention.head_count_kv", 65536) : h.n_head;
    h.n_ff            = meta.count(arch + ".feed_forward_length", MANY);
    h.n_ctx_train     = meta.count(arch + ".context_length", INT32_MAX);
    h.n_embd_head     = meta.has(arch + ".attention.key_length") ? meta.count(arch + ".attention.key_length", 65536) : h.n_embd / h.n_head;
    h.n_rot           = meta.has(arch + ".rope.dimension_count") ? meta.count(arch + ".rope.dimension_count", 65536) : h.n_embd_head;
    h.rms_eps         = (float) meta.number(arch + ".attention.layer_norm_rms_epsilon");
    h.rope_freq_base  = (float) meta.number(arch + ".rope.freq_base", 10000.0);
    h.rope_freq_scale = rope_freq_scale(meta, arch);
    if (h.n_head % h.n_head_kv) fail("the number of heads is no multiple of the number of KV heads");
    if (h.n_embd_head < 1 || h.n_embd_head % 2 || h.n_rot != h.n_embd_head) fail("rotary dimensions differ from the head's width");
    if (!(h.rms_eps >= 0) || !(h.rope_freq_base > 0)) fail("a norm epsilon or RoPE base is out of range");
    if (meta.number(arch + ".expert_count", 0) > 0) fail("mixture-of-experts models cannot be trained yet");
    if (meta.number(arch + ".attention.value_length", h.n_embd_head) != h.n_embd_head) fail("keys and values differ in width");
    if (meta.number(arch + ".attention.scale", 0) != 0) fail("a custom attention scale cannot be trained yet");
    return h;
}

void silence(ggml_log_level, const char *, void *) {
}

} // namespace

Mapping::Mapping(const std::string & path) {
    const int file = open(path.c_str(), O_RDONLY);
    if (file < 0) fail("cannot open \"" + path + "\": " + strerror(errno));
    struct stat info;
    if (fstat(file, &info) == 0 && info.st_size > 0) {
        size_ = (size_t) info.st_size;
        data_ = static_cast<char *>(mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0));
    }
    close(file);
    if (!data_ || data_ == MAP_FAILED) fail("cannot map \"" + path + "\"");
}

Mapping::~Mapping() {
    munmap(data_, size_);
}

std::vector<DeviceInfo> devices() {
    std::vector<DeviceInfo> all;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t dev = ggml_backend_dev_get(i);
        DeviceInfo         info{ ggml_backend_dev_name(dev), ggml_backend_dev_description(dev), "accel", 0, 0 };
        ggml_backend_dev_memory(dev, &info.memory_free, &info.memory_total);
        switch (ggml_backend_dev_type(dev)) {
            case GGML_BACKEND_DEVICE_TYPE_CPU: info.kind = "cpu"; break;
            case GGML_BACKEND_DEVICE_TYPE_GPU: info.kind = "gpu"; break;
            case GGML_BACKEND_DEVICE_TYPE_IGPU: info.kind = "igpu"; break;
            default: break;
        }
        all.push_back(info);
    }
    return all;
}

namespace {

using Impl = Model::Impl;

ggml_backend_dev_t find_device(const std::string & name) {
    if (name.empty()) return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    ggml_backend_dev_t dev = ggml_backend_dev_by_name(name.c_str());
    std::string        known;
    for (const DeviceInfo & info : devices()) known += (known.empty() ? "" : ", ") + info.name;
    if (!dev) fail("there is no device \"" + name + "\" (there is: " + known + ")");
    if (ggml_backend_dev_type(dev) == GGML_BACKEND_DEVICE_TYPE_ACCEL) fail("device \"" + name + "\" holds no weights of its own");
    return dev;
}

// Open, map, and bind every tensor's data to the mapping, checking that it lies inside the file.
void open_file(Impl & m) {
    ggml_context *   ctx    = nullptr;
    gguf_init_params params = { /*no_alloc*/ true, &ctx };
    m.gguf.reset(gguf_init_from_file(m.path.c_str(), params));
    m.file_ctx.reset(ctx);
    if (!m.gguf || !ctx) fail("\"" + m.path + "\" is not a readable GGUF file");
    if (gguf_get_alignment(m.gguf.get()) % 32) fail("general.alignment is no multiple of 32");
    m.file             = std::make_unique<Mapping>(m.path);
    const size_t start = gguf_get_data_offset(m.gguf.get());
    if (start > m.file->size()) fail("\"" + m.path + "\" is truncated");
    m.file_buffer.reset(ggml_backend_cpu_buffer_from_ptr(m.file->data(), m.file->size()));
    for (int64_t i = 0; i < gguf_get_n_tensors(m.gguf.get()); i++) {
        ggml_tensor * t  = ggml_get_tensor(ctx, gguf_get_tensor_name(m.gguf.get(), i));
        const size_t  at = start + gguf_get_tensor_offset(m.gguf.get(), i);
        if (at > m.file->size() || ggml_nbytes(t) > m.file->size() - at) fail("\"" + m.path + "\" is truncated");
        if (ggml_backend_tensor_alloc(m.file_buffer.get(), t, m.file->data() + at) != GGML_STATUS_SUCCESS) fail("cannot place a tensor");
    }
}

void upload(Impl & m) {
    const int64_t    n      = gguf_get_n_tensors(m.gguf.get());
    ggml_init_params params = { ggml_tensor_overhead() * (n + 8), nullptr, true };
    m.device_ctx.reset(ggml_init(params));
    for (ggml_tensor * t = ggml_get_first_tensor(m.file_ctx.get()); t; t = ggml_get_next_tensor(m.file_ctx.get(), t))
        ggml_set_name(ggml_dup_tensor(m.device_ctx.get(), t), t->name);
    m.device_buffer.reset(ggml_backend_alloc_ctx_tensors(m.device_ctx.get(), m.backend.get()));
    if (!m.device_buffer) fail("device \"" + m.device_name + "\" has not enough memory for the weights");
    for (ggml_tensor * t = ggml_get_first_tensor(m.file_ctx.get()); t; t = ggml_get_next_tensor(m.file_ctx.get(), t))
        ggml_backend_tensor_set(ggml_get_tensor(m.device_ctx.get(), t->name), t->data, 0, ggml_nbytes(t));
    ggml_backend_buffer_set_usage(m.device_buffer.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
}

void bind_layers(Impl & m) {
    const Hparams & h  = m.hparams;
    const int64_t   nq = h.n_head * h.n_embd_head, nkv = h.n_head_kv * h.n_embd_head;
    for (int64_t il = 0; il < h.n_layer; il++) {
        const std::string at = "blk." + std::to_string(il) + ".";
        Layer             l;
        l.attn_norm = m.require(at + "attn_norm.weight", { h.n_embd });
        l.ffn_norm  = m.require(at + "ffn_norm.weight", { h.n_embd });
        l.q.w       = m.require(at + "attn_q.weight", { h.n_embd, nq });
        l.k.w       = m.require(at + "attn_k.weight", { h.n_embd, nkv });
        l.v.w       = m.require(at + "attn_v.weight", { h.n_embd, nkv });
        l.o.w       = m.require(at + "attn_output.weight", { nq, h.n_embd });
        l.gate.w    = m.require(at + "ffn_gate.weight", { h.n_embd, h.n_ff });
        l.up.w      = m.require(at + "ffn_up.weight", { h.n_embd, h.n_ff });
        l.down.w    = m.require(at + "ffn_down.weight", { h.n_ff, h.n_embd });
        m.layers.push_back(l);
    }
}

// A tensor that the graph does not use would be left out of the computation without a word.
void refuse_unused(const Impl & m) {
    const int64_t used =
        2 + (m.hparams.tied_output ? 0 : 1) + (m.rope_freqs ? 1 : 0) + m.hparams.n_layer * (int64_t) (m.arch->norms.size() + m.arch->matrices.size());
    if (gguf_get_n_tensors(m.gguf.get()) == used) return;
    for (ggml_tensor * t = ggml_get_first_tensor(m.file_ctx.get()); t; t = ggml_get_next_tensor(m.file_ctx.get(), t)) {
        const std::string name  = t->name;
        bool              known = name == "token_embd.weight" || name == "output.weight" || name == "output_norm.weight" || name == "rope_freqs.weight";
        for (int64_t il = 0; !known && il < m.hparams.n_layer; il++) {
            const std::string at = "blk." + std::to_string(il) + ".";
            for (const char * n : m.arch->norms) known = known || name == at + n + ".weight";
            for (const char * n : m.arch->matrices) known = known || name == at + n + ".weight";
        }
        if (!known) fail("tensor \"" + name + "\" is not one that the trainer's " + m.hparams.arch + " graph uses");
    }
}

void bind_tensors(Impl & m) {
    Hparams & h = m.hparams;
    m.embedding = ggml_get_tensor(m.file_ctx.get(), "token_embd.weight");
    if (!m.embedding) fail("tensor \"token_embd.weight\" is missing");
    h.n_vocab = m.embedding->ne[1];
    if (h.n_vocab < 1) fail("tensor \"token_embd.weight\" has an unexpected shape");
    m.require("token_embd.weight", { h.n_embd, h.n_vocab });
    h.tied_output = !m.find("output.weight");
    m.output_norm = m.require("output_norm.weight", { h.n_embd });
    m.output.w    = m.require(h.tied_output ? "token_embd.weight" : "output.weight", { h.n_embd, h.n_vocab });
    m.rope_freqs  = m.find("rope_freqs.weight");
    if (m.rope_freqs) m.require("rope_freqs.weight", { h.n_rot / 2 });
    bind_layers(m);
    refuse_unused(m);
}

} // namespace

ggml_tensor * Model::Impl::find(const std::string & name) const {
    return ggml_get_tensor(device_ctx ? device_ctx.get() : file_ctx.get(), name.c_str());
}

ggml_tensor * Model::Impl::require(const std::string & name, std::vector<int64_t> ne) const {
    ggml_tensor * t = find(name);
    if (!t) fail("tensor \"" + name + "\" is missing");
    for (size_t i = 0; i < GGML_MAX_DIMS; i++)
        if (t->ne[i] != (i < ne.size() ? ne[i] : 1)) fail("tensor \"" + name + "\" has an unexpected shape");
    if (ne.size() == 1 && t->type != GGML_TYPE_F32) fail("tensor \"" + name + "\" is not f32");
    if (t->type != GGML_TYPE_F32 && !ggml_get_type_traits(t->type)->to_float)
        fail("tensor \"" + name + "\" is of type " + ggml_type_name(t->type) + ", which cannot be trained on");
    return t;
}

namespace {

void transpose_into(const ggml_tensor * from, ggml_tensor * to) {
    const int64_t        n_in = from->ne[0], n_out = from->ne[1];
    const auto           to_float = from->type == GGML_TYPE_F32 ? nullptr : ggml_get_type_traits(from->type)->to_float;
    std::vector<float>   row(n_in), whole((size_t) n_in * n_out);
    std::vector<uint8_t> raw(ggml_nbytes(from));
    ggml_backend_tensor_get(from, raw.data(), 0, raw.size());
    for (int64_t j = 0; j < n_out; j++) {
        const uint8_t * at = raw.data() + j * from->nb[1];
        if (to_float) to_float(at, row.data(), n_in);
        else memcpy(row.data(), at, n_in * sizeof(float));
        for (int64_t i = 0; i < n_in; i++) whole[i * n_out + j] = row[i];
    }
    if (to->type == GGML_TYPE_F32) {
        ggml_backend_tensor_set(to, whole.data(), 0, ggml_nbytes(to));
        return;
    }
    std::vector<ggml_fp16_t> half(whole.size());
    ggml_fp32_to_fp16_row(whole.data(), half.data(), (int64_t) whole.size());
    ggml_backend_tensor_set(to, half.data(), 0, ggml_nbytes(to));
}

} // namespace

void Model::Impl::make_transposed() {
    if (transposed_buffer) return;
    std::vector<Matrix *> all = { &output };
    for (Layer & l : layers)
        for (Matrix * w : { &l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down }) all.push_back(w);
    ggml_init_params params = { ggml_tensor_overhead() * (all.size() + 1), nullptr, true };
    transposed_ctx.reset(ggml_init(params));
    for (Matrix * w : all) {
        const ggml_type type = w->w->type == GGML_TYPE_F32 ? GGML_TYPE_F32 : GGML_TYPE_F16;
        w->wt                = ggml_new_tensor_2d(transposed_ctx.get(), type, w->w->ne[1], w->w->ne[0]);
    }
    transposed_buffer.reset(ggml_backend_alloc_ctx_tensors(transposed_ctx.get(), backend.get()));
    if (!transposed_buffer) fail("device \"" + device_name + "\" has not enough memory for the transposed weights");
    for (Matrix * w : all) transpose_into(w->w, w->wt);
}

Model::Model(const std::string & path, const std::string & device) : impl_(std::make_unique<Impl>()) {
    ggml_log_set(silence, nullptr);
    Impl &             m   = *impl_;
    ggml_backend_dev_t dev = find_device(device);
    m.path                 = path;
    m.device_name          = ggml_backend_dev_name(dev);
    m.is_cpu               = ggml_backend_dev_type(dev) == GGML_BACKEND_DEVICE_TYPE_CPU;
    open_file(m);
    const Metadata    meta(m.gguf.get());
    const std::string arch = meta.text("general.architecture");
    std::string       known;
    for (const Arch & a : ARCHS) {
        known += (known.empty() ? "" : ", ") + std::string(a.name);
        if (arch == a.name) m.arch = &a;
    }
    if (!m.arch) fail("architecture \"" + arch + "\" cannot be trained yet (can be: " + known + ")");
    m.hparams = read_hparams(meta, arch);
    m.backend.reset(ggml_backend_dev_init(dev, nullptr));
    if (!m.backend) fail("device \"" + m.device_name + "\" does not start");
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
    const auto          add = [&](const std::string & name) {
        const ggml_tensor * t = impl_->find(name);
        all.push_back({ name, t->ne[0], t->ne[1] });
    };
    for (int64_t il = 0; il < impl_->hparams.n_layer; il++)
        for (const char * n : impl_->arch->matrices) add("blk." + std::to_string(il) + "." + n + ".weight");
    if (!impl_->hparams.tied_output) add("output.weight");
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
