#include "model/metadata.h"

#include "error.h"

#include <cmath>

namespace localft {

bool Metadata::has(const std::string & key) const {
    return gguf_find_key(gguf_, key.c_str()) >= 0;
}

int64_t Metadata::find(const std::string & key) const {
    const int64_t i = gguf_find_key(gguf_, key.c_str());
    if (i < 0) fail("load", "metadata has no \"" + key + "\"");
    return i;
}

std::string Metadata::text(const std::string & key) const {
    const int64_t i = find(key);
    if (gguf_get_kv_type(gguf_, i) != GGUF_TYPE_STRING) fail("load", "metadata \"" + key + "\" has an unexpected type");
    return gguf_get_val_str(gguf_, i);
}

double Metadata::number(const std::string & key) const {
    const int64_t i = find(key);
    switch (gguf_get_kv_type(gguf_, i)) {
        case GGUF_TYPE_UINT8: return gguf_get_val_u8(gguf_, i);
        case GGUF_TYPE_UINT16: return gguf_get_val_u16(gguf_, i);
        case GGUF_TYPE_UINT32: return gguf_get_val_u32(gguf_, i);
        case GGUF_TYPE_INT32: return gguf_get_val_i32(gguf_, i);
        case GGUF_TYPE_UINT64: return (double) gguf_get_val_u64(gguf_, i);
        case GGUF_TYPE_INT64: return (double) gguf_get_val_i64(gguf_, i);
        case GGUF_TYPE_FLOAT32: return gguf_get_val_f32(gguf_, i);
        case GGUF_TYPE_FLOAT64: return gguf_get_val_f64(gguf_, i);
        default: fail("load", "metadata \"" + key + "\" is not a number");
    }
}

double Metadata::number(const std::string & key, double otherwise) const {
    return has(key) ? number(key) : otherwise;
}

int64_t Metadata::count(const std::string & key, int64_t most) const {
    const double value = number(key);
    if (!(value >= 1 && value <= (double) most) || value != std::floor(value)) fail("load", "metadata \"" + key + "\" is out of range");
    return (int64_t) value;
}

} // namespace localft
