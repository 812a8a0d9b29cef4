// The metadata of a GGUF, read with its types: what is missing or of another type is an error, not an abort.
#pragma once

#include <gguf.h>

#include <cstdint>
#include <string>

namespace localft {

class Metadata {
public:
    explicit Metadata(const gguf_context * gguf) : gguf_(gguf) {}

    bool        has(const std::string & key) const;
    std::string text(const std::string & key) const;
    double      number(const std::string & key) const;
    double      number(const std::string & key, double otherwise) const;
    int64_t     count(const std::string & key, int64_t most) const; // a whole number from 1 to `most`

private:
    int64_t find(const std::string & key) const;

    const gguf_context * gguf_;
};

} // namespace localft
